//! Every fixture that opens plugins does what it does with them embedded and their files gone.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use statify_tests::builder;
use statify_tests::case::{Case, Cases, run};
use statify_tests::compare::{against_directives, against_each_other, said};
use statify_tests::process::End;
use statify_tests::report::Done;
use statify_tests::suite::{self, Variant};
use statify_tests::toolchain::Toolchain;

/// Fixtures of which that cannot be said, and why.
const NOT_SO: &[(&str, &str)] = &[];

pub fn add(cases: &mut Cases) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    for variant in suite::variants(&sources)?.into_iter().flatten() {
        let fixture = &variant.fixture;
        let opens = !fixture.plugins.is_empty() && fixture.refuses.is_none();
        if opens && variant.toolchain != Toolchain::Musl {
            let name = format!("fixture/{}", variant.name);
            cases.add(&name, move |case| check(&variant, case));
        }
    }
    Ok(())
}

fn check(variant: &Variant, case: &Case) -> Result<Done> {
    let (fixture, dir) = (&variant.fixture, &case.dir);
    if let Some(reason) = variant.lacking()? {
        return Done::not_here(reason);
    }
    let name = variant.source.file_stem().unwrap_or_default();
    if let Some((_, reason)) = NOT_SO.iter().find(|(other, _)| *other == name) {
        return Done::not_here(*reason);
    }
    let built = builder::build(&variant.source, fixture, &variant.flags, variant.toolchain, dir)?;
    let arguments = fixture.runs.first().context("a fixture is run at least once")?;
    let look = |program: &Path| {
        let mut command = variant.command(&built, program, arguments);
        variant.run_command(&built, program, &mut command)
    };
    let original = look(&built.original)?;
    // In the fixture's own environment, by which it may find its plugins.
    let mut command = variant.command(&built, case.statify.path(), &[]);
    command.args(builder::expand(&fixture.statify, dir)).arg("--quiet").arg(&built.original);
    command.arg("-o").arg(&built.converted).args(["--trace", "--"]);
    let outcome = run(command.args(builder::expand(arguments, dir)))?;
    ensure!(outcome.end == End::Exit(0), "statify: {}: {}", outcome.end, said(&outcome));
    built.take_libraries_away()?;
    for plugin in &fixture.plugins {
        fs::remove_file(dir.join(&plugin.file))?;
    }
    let converted = look(&built.converted)?;
    let mut wrong = against_directives(&converted, fixture);
    if fixture.varies.is_none() {
        wrong.extend(against_each_other(&original, &converted));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n    "));
    Ok(Done::Passed)
}

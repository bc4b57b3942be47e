//! Every fixture, converted with a pool, does what it does without.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use statify_tests::builder;
use statify_tests::case::{Case, Cases};
use statify_tests::compare::{against_directives, against_each_other};
use statify_tests::report::Done;
use statify_tests::suite::{self, Variant};

use super::place::{Place, files};

pub fn add(cases: &mut Cases) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    // Those that cannot be read fail among the fixtures themselves.
    for variant in suite::variants(&sources)?.into_iter().flatten() {
        if variant.fixture.refuses.is_none() {
            let name = format!("fixture/{}", variant.name);
            cases.needing(&["root"]).add(&name, move |case| check(&variant, case));
        }
    }
    Ok(())
}

fn check(variant: &Variant, case: &Case) -> Result<Done> {
    let fixture = &variant.fixture;
    if let Some(reason) = variant.lacking()? {
        return Done::not_here(reason);
    }
    let (place, dir) = (Place::new()?, &case.dir);
    let built = builder::build(&variant.source, fixture, &variant.flags, variant.toolchain, dir)?;
    let mut options = builder::expand(&fixture.statify, dir);
    options.extend(["--pool".into(), place.pool().to_string_lossy().into_owned()]);
    case.statify.convert(&built.original, &built.converted, &options)?;
    ensure!(!files(&place.pool())?.is_empty(), "nothing is in the pool");
    let run = |program: &Path, arguments: &[String]| {
        let mut command = variant.command(&built, program, arguments);
        variant.run_command(&built, program, &mut command)
    };
    let mut originals = Vec::new();
    for arguments in &fixture.runs {
        originals.push(run(&built.original, arguments)?);
    }
    built.take_libraries_away()?;
    for (arguments, original) in fixture.runs.iter().zip(&originals) {
        let converted =
            run(&built.converted, arguments).with_context(|| format!("{arguments:?}"))?;
        let mut wrong = against_directives(&converted, fixture);
        if fixture.varies.is_none() {
            wrong.extend(against_each_other(original, &converted));
        }
        ensure!(wrong.is_empty(), "called with {arguments:?}:\n    {}", wrong.join("\n    "));
    }
    Ok(Done::Passed)
}

//! Every variant of every fixture where all that is newer than Linux 3.2 is refused: there a
//! converted program does what its original does there, whatever that is.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use statify_tests::builder;
use statify_tests::case::Cases;
use statify_tests::compare::{against_directives, against_each_other};
use statify_tests::convert::Statify;
use statify_tests::old_kernel::{Refusal, only_old_calls};
use statify_tests::process::Outcome;
use statify_tests::report::Done;
use statify_tests::suite::{self, Variant};
use statify_tests::toolchain::Toolchain;

/// How calls are refused to what is built with `toolchain`. Of glibc's programs of 32 bits none loads a library where statx(2)
/// is not permitted, so originals show nothing there.
fn refusals(toolchain: Toolchain) -> &'static [Refusal] {
    match toolchain {
        Toolchain::Narrow => &[Refusal::Unknown],
        _ => &[Refusal::Unknown, Refusal::NotPermitted],
    }
}

/// Adds them.
pub fn add(cases: &mut Cases) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    // Those that cannot be read fail among the fixtures themselves.
    for variant in suite::variants(&sources)?.into_iter().flatten() {
        if variant.fixture.refuses.is_none() {
            let name = variant.name.clone();
            cases.add(&name, move |case| check(&variant, &case.statify, &case.dir));
        }
    }
    Ok(())
}

fn check(variant: &Variant, statify: &Statify, dir: &Path) -> Result<Done> {
    let fixture = &variant.fixture;
    if let Some(reason) = variant.lacking()? {
        return Done::not_here(reason);
    }
    let built = builder::build(&variant.source, fixture, &variant.flags, variant.toolchain, dir)?;
    statify.convert(&built.original, &built.converted, &builder::expand(&fixture.statify, dir))?;
    let runs = || {
        let refusals = refusals(variant.toolchain).iter();
        refusals.flat_map(|&refusal| fixture.runs.iter().map(move |run| (refusal, run)))
    };
    let run = |program: &Path, refusal, arguments: &[String]| -> Result<Outcome> {
        let mut command = variant.command(&built, program, arguments);
        only_old_calls(&mut command, refusal)?;
        variant.run_command(&built, program, &mut command)
    };
    let mut originals = Vec::new();
    for (refusal, arguments) in runs() {
        originals.push(run(&built.original, refusal, arguments)?);
    }
    built.take_libraries_away()?;
    for ((refusal, arguments), original) in runs().zip(&originals) {
        let converted = run(&built.converted, refusal, arguments)
            .with_context(|| format!("{refusal:?} {arguments:?}"))?;
        // What the original itself cannot do there is not asked for.
        let mut wrong = if against_directives(original, fixture).is_empty() {
            against_directives(&converted, fixture)
        } else {
            Vec::new()
        };
        if fixture.varies.is_none() {
            wrong.extend(against_each_other(original, &converted));
        }
        ensure!(
            wrong.is_empty(),
            "{refusal:?}, called with {arguments:?}:\n    {}",
            wrong.join("\n    ")
        );
    }
    Ok(Done::Passed)
}

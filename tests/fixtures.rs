//! Every variant of every fixture, run as built and converted.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::Arguments;
use statify_tests::convert::Statify;
use statify_tests::report::Suite;
use statify_tests::scratch::Scratch;
use statify_tests::suite;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let variants =
        suite::variants(&Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures"))?;
    let scratch = Arc::new(Scratch::new()?);
    let statify = Statify::for_run(arguments.list, scratch.path())?;
    let mut suite = Suite::default();
    for variant in variants {
        let variant = match variant {
            Ok(variant) => variant,
            Err(unreadable) => {
                suite.add(unreadable.name, || Err(unreadable.error));
                continue;
            }
        };
        let (scratch, statify) = (scratch.clone(), statify.clone());
        suite.add(variant.name.clone(), move || {
            let statify = statify.ok_or_else(|| anyhow::anyhow!("only listing"))?;
            let dir = scratch.dir(&variant.name)?;
            let result = variant.check(&statify, &dir);
            fs::remove_dir_all(dir)?;
            result
        });
    }
    Ok(suite.run(&arguments))
}

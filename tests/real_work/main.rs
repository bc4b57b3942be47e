//! Real work: the scripts in `jobs/`, each done once with the machine's tools and once with the same tools converted.
//!
//! A script names its tools in a comment at its top: `#: Tools: tar gzip`. It finds them first on its PATH, in the
//! directory `$BIN`. `cc1@gcc` stands for the program that `gcc -print-prog-name=cc1` names. With `#: Each: xz zstd`
//! there is one test for each of these tools, which is `$TOOL`.

mod job;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::Arguments;
use statify_tests::convert::Statify;
use statify_tests::report::Suite;
use statify_tests::scratch::Scratch;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let jobs = job::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("real_work/jobs"))?;
    let scratch = Arc::new(Scratch::new()?);
    let statify = if arguments.list { None } else { Some(Statify::locate()?) };
    let mut suite = Suite::default();
    for job in jobs {
        let (scratch, statify) = (scratch.clone(), statify.clone());
        suite.add(job.name.clone(), move || {
            let statify = statify.context("only listing")?;
            let dir = scratch.dir(&job.name)?;
            let result = job.check(&statify, &dir);
            fs::remove_dir_all(dir)?;
            result
        });
    }
    Ok(suite.run(&arguments))
}

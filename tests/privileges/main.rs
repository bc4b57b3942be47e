//! Programs that have privileges which their caller lacks: what `--preserve-privileges` keeps and refuses, and that a caller
//! can do no more to the converted program than to the original.

mod attacks;
mod circumstances;
mod conversion;
mod debian;
mod programs;
mod starts;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use statify_tests::case::Cases;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut cases =
        Cases::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/privileges/programs")))?;
    attacks::add(&mut cases);
    circumstances::add(&mut cases);
    conversion::add(&mut cases);
    debian::add(&mut cases);
    starts::add(&mut cases);
    Ok(cases.run(&arguments))
}

//! What statify must refuse, and that it leaves nothing behind when it does.

mod attempt;
mod corrupted;
mod inputs;
mod interrupted;
mod loaders;
mod musl;
mod outputs;
mod ptrace;
mod readers;
mod report;
mod roots;
mod usage;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use statify_tests::case::Cases;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut cases =
        Cases::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bad_input/programs")))?;
    corrupted::add(&mut cases);
    inputs::add(&mut cases);
    interrupted::add(&mut cases);
    loaders::add(&mut cases);
    musl::add(&mut cases);
    outputs::add(&mut cases);
    ptrace::add(&mut cases);
    readers::add(&mut cases);
    report::add(&mut cases);
    roots::add(&mut cases);
    usage::add(&mut cases);
    Ok(cases.run(&arguments))
}

//! Libraries that a program opens at run time: embedded by `--with` or `--trace`, refused by `--host-libs deny`.

mod demonstrations;
mod denied;
mod empty_root;
mod identity;
mod refused;
mod traced;
mod with;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use statify_tests::case::Cases;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut cases =
        Cases::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/programs")))?;
    with::add(&mut cases);
    denied::add(&mut cases);
    identity::add(&mut cases);
    traced::add(&mut cases);
    refused::add(&mut cases);
    demonstrations::add(&mut cases);
    Ok(cases.run(&arguments))
}

//! What rootfs-tools does to a tree: a small guest, made of this machine's own programs.

mod archives;
mod bad_input;
mod caches;
mod converts;
mod guest;
mod killed;
mod malicious;
mod oci;
mod packed;
mod reports;
mod snapshot;
mod steps;
mod tool;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use statify_tests::case::Cases;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut cases = Cases::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rootfs/programs")))?;
    converts::add(&mut cases);
    killed::add(&mut cases);
    bad_input::add(&mut cases);
    caches::add(&mut cases);
    malicious::add(&mut cases);
    reports::add(&mut cases);
    archives::add(&mut cases);
    oci::add(&mut cases);
    Ok(cases.run(&arguments))
}

//! What rootfs-tools does to a tree: a small guest, made of this machine's own programs.

mod archives;
mod bad_input;
mod bad_trees;
mod caches;
mod check_rooms;
mod checks;
mod converts;
mod disk;
mod dry_run;
mod forged;
mod guest;
mod killed;
mod malicious;
mod measures;
mod object_store;
mod oci;
mod options;
mod other_users;
mod packed;
mod pages;
mod power;
mod progress;
mod reflinks;
mod reports;
mod snapshot;
mod steps;
mod tool;
mod trial;

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
    power::add(&mut cases);
    bad_input::add(&mut cases);
    caches::add(&mut cases);
    object_store::add(&mut cases);
    malicious::add(&mut cases);
    forged::add(&mut cases);
    other_users::add(&mut cases);
    reports::add(&mut cases);
    checks::add(&mut cases);
    check_rooms::add(&mut cases);
    bad_trees::add(&mut cases);
    options::add(&mut cases);
    reflinks::add(&mut cases);
    dry_run::add(&mut cases);
    progress::add(&mut cases);
    measures::add(&mut cases);
    pages::add(&mut cases);
    archives::add(&mut cases);
    oci::add(&mut cases);
    Ok(cases.run(&arguments))
}

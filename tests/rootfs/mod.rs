//! What rootfs-tools does to a tree: a small guest, made of this machine's own programs.

mod archives;
mod bad_input;
mod bad_trees;
mod boots;
mod caches;
mod check_calls;
mod check_rooms;
mod checks;
mod converts;
pub mod disk;
mod dry_run;
mod forged;
pub mod guest;
mod killed;
mod machines;
mod malicious;
mod measures;
mod object_store;
mod oci;
mod options;
mod other_users;
mod packed;
mod pages;
mod pool;
mod power;
mod progress;
mod reflinks;
mod reports;
mod snapshot;
mod steps;
mod tool;
mod trial;

use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) {
    converts::add(cases);
    killed::add(cases);
    power::add(cases);
    bad_input::add(cases);
    caches::add(cases);
    object_store::add(cases);
    machines::add(cases);
    malicious::add(cases);
    forged::add(cases);
    other_users::add(cases);
    reports::add(cases);
    checks::add(cases);
    check_rooms::add(cases);
    check_calls::add(cases);
    bad_trees::add(cases);
    options::add(cases);
    reflinks::add(cases);
    dry_run::add(cases);
    progress::add(cases);
    measures::add(cases);
    pages::add(cases);
    pool::add(cases);
    boots::add(cases);
    archives::add(cases);
    oci::add(cases);
}

//! Libraries that a program opens at run time: embedded by `--with` or `--trace`, refused by `--host-libs deny`.

mod demonstrations;
mod denied;
mod empty_root;
mod every_fixture;
mod identity;
mod refused;
mod traced;
mod with;

use anyhow::Result;
use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) -> Result<()> {
    with::add(cases);
    denied::add(cases);
    identity::add(cases);
    traced::add(cases);
    refused::add(cases);
    demonstrations::add(cases);
    every_fixture::add(cases)
}

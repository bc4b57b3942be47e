//! The pool: outputs that map libraries from a directory which only root can write to, and do without where anything about it is
//! not as it should be.

mod contents;
mod every_fixture;
pub mod place;
mod trust;
mod verity;

use anyhow::Result;
use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) -> Result<()> {
    contents::add(cases);
    trust::add(cases);
    verity::add(cases);
    every_fixture::add(cases)
}

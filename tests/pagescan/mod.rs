//! pagescan: what it finds held against what was planted and what the kernel says.

mod planted;
mod refusals;
mod snapshots;
mod tool;

use statify_tests::case::Cases;

pub fn add(cases: &mut Cases) {
    snapshots::add(cases);
    refusals::add(cases);
}

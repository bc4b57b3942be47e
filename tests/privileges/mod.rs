//! Programs that have privileges which their caller lacks: what `--preserve-privileges` keeps and refuses, and that a caller
//! can do no more to the converted program than to the original.

mod attacks;
mod circumstances;
mod conversion;
mod debian;
mod programs;
mod starts;

use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) {
    attacks::add(cases);
    circumstances::add(cases);
    conversion::add(cases);
    debian::add(cases);
    starts::add(cases);
}

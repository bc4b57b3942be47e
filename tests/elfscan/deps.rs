//! `elfscan deps`, held against the loaders themselves: they list what they load.

mod machine;
mod others;
mod refusals;
mod rules;
mod said;

use statify_tests::case::Cases;

pub fn add(cases: &mut Cases) {
    machine::add(cases);
    rules::add(cases);
    others::add(cases);
    refusals::add(cases);
}

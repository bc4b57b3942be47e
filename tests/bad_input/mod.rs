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

use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) {
    corrupted::add(cases);
    inputs::add(cases);
    interrupted::add(cases);
    loaders::add(cases);
    musl::add(cases);
    outputs::add(cases);
    ptrace::add(cases);
    readers::add(cases);
    report::add(cases);
    roots::add(cases);
    usage::add(cases);
}

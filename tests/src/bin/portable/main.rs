//! `portable`: the suites that say the same of every machine, as `cargo test` runs them, in a command that is built without
//! what the others need. In a guest for another machine it runs them with the compilers that are there.
//!
//! `TEST_FIXTURES` may name those fixtures that are wanted, with spaces between them, in all their variants.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use libtest_mimic::Arguments;
use statify_tests::case::Cases;

#[path = "../../../fixtures.rs"]
mod fixtures;
#[path = "../../../plugins/mod.rs"]
mod plugins;
#[path = "../../../privileges/mod.rs"]
mod privileges;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut cases = Cases::new(&arguments)?;
    cases.begin("fixtures", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")));
    fixtures::add(&mut cases)?;
    cases.begin("plugins", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/programs")));
    plugins::add(&mut cases)?;
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/privileges/programs");
    cases.begin("privileges", Path::new(programs));
    privileges::add(&mut cases);
    if let Ok(names) = std::env::var("TEST_FIXTURES") {
        let wanted: BTreeSet<&str> = names.split_whitespace().collect();
        let left = cases.keep(|name| fixture(name).is_some_and(|name| wanted.contains(name)));
        ensure!(left >= wanted.len(), "some of these are no fixtures: {names}");
    }
    Ok(cases.run(&arguments))
}

/// That of the test `fixtures/NAME`, `fixtures/NAME/VARIANT` or the same with `@` and a C library behind it.
fn fixture(test: &str) -> Option<&str> {
    test.strip_prefix("fixtures/")?.split(['/', '@']).next()
}

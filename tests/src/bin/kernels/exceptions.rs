//! The fixtures that cannot do in the emulated machine what their originals did here, each with the
//! reason. Nothing else may differ.

use crate::fixtures::Prepared;
use crate::images::order;
use crate::table::Table;

/// A fixture, all its variants, and why.
#[derive(Debug)]
pub struct Exception {
    /// The fixture's name.
    pub fixture: &'static str,
    /// Why it cannot agree.
    pub reason: &'static str,
    /// It does what its directives say all the same: only what it prints is another.
    pub ends_well: bool,
    /// The version from which on it agrees; empty if it never does.
    pub before: &'static [u64],
}

/// The table.
pub const EXCEPTIONS: &[Exception] = &[
    until(&[5, 18], prints("argv-none", "a program may have no argv[0]")),
    fails("backtrace", LIBGCC),
    prints("cpu-choices", "prints what is chosen for the processor"),
    prints("cpu-dispatch", "prints which processor it runs on"),
    fails("cxx-locale", "opens a locale of the machine's"),
    fails("dlopen-host-library", "opens a library of the machine's"),
    prints("host-name", "prints the kernel's release"),
    fails("iconv-modules", "opens a gconv module of the machine's"),
    fails("locale-utf8", "opens a locale of the machine's"),
    prints("process-attributes", "prints a limit that follows from the size of memory"),
    until(
        &[6, 10],
        fails(
            "program-break",
            "not randomised, the break of a file without interpreter has no room",
        ),
    ),
    until(&[4, 18], prints("rseq", "says that nothing is registered")),
    prints("system-values", "prints how many processors there are"),
    fails("thread-cancel", LIBGCC),
    fails("thread-exit-main", LIBGCC),
    fails("thread-join-main", LIBGCC),
    until(&[5, 3], fails("vdso-functions", "clock_getres is not in the vDSO")),
];

const fn prints(fixture: &'static str, reason: &'static str) -> Exception {
    Exception { fixture, reason, ends_well: true, before: &[] }
}

const fn fails(fixture: &'static str, reason: &'static str) -> Exception {
    Exception { fixture, reason, ends_well: false, before: &[] }
}

/// Only of kernels older than this.
const fn until(before: &'static [u64], exception: Exception) -> Exception {
    Exception { before, ..exception }
}

const LIBGCC: &str = "the C library opens libgcc_s.so.1 of the machine when it is first needed";

/// The entry for a case under the kernel `release`.
pub fn find(case: &str, release: &str) -> Option<&'static Exception> {
    let fixture = fixture_of(case);
    EXCEPTIONS
        .iter()
        .filter(|entry| entry.before.is_empty() || *order(release) < *entry.before)
        .find(|entry| Some(entry.fixture) == fixture)
}

/// The fixture's name, whatever its variant and its C library.
fn fixture_of(case: &str) -> Option<&str> {
    case.split(['/', '@']).next()
}

/// Entries for fixtures that were run and never failed.
pub fn unused(prepared: &Prepared, table: &Table) -> Vec<&'static str> {
    let was_run = |entry: &&Exception| {
        prepared.fixtures.iter().any(|case| fixture_of(&case.name) == Some(entry.fixture))
    };
    let never = |entry: &&Exception| !table.excused().any(|name| name == entry.fixture);
    // What one prints that ends well is not looked at, and not every kernel need be among those run.
    let fails = |entry: &&Exception| !entry.ends_well && entry.before.is_empty();
    EXCEPTIONS
        .iter()
        .filter(fails)
        .filter(was_run)
        .filter(never)
        .map(|entry| entry.fixture)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_is_listed_once_and_has_a_reason() {
        for (place, entry) in EXCEPTIONS.iter().enumerate() {
            assert!(entry.reason.len() > 20, "{}: say why", entry.fixture);
            assert!(
                EXCEPTIONS[..place].iter().all(|other| other.fixture != entry.fixture),
                "{} is listed twice",
                entry.fixture
            );
        }
    }
}

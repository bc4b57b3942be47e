//! As JSON.

use std::sync::atomic::{AtomicU64, Ordering};

use elfscan::scan::{Counts, Problem, Row, Scan, Totals};
use serde::Serialize;

/// What `--json` prints.
#[derive(Serialize)]
pub struct Document<'a> {
    files: &'a [Row],
    problems: &'a [Problem],
    totals: &'a Totals,
    not_elf: NotElf,
}

/// Files that have no row.
#[derive(Serialize)]
struct NotElf {
    scripts: u64,
    others: u64,
    special: u64,
}

/// All of it.
pub fn document<'a>(found: &'a Scan, totals: &'a Totals, counts: &Counts) -> Document<'a> {
    let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let not_elf = NotElf {
        scripts: value(&counts.scripts),
        others: value(&counts.others),
        special: value(&counts.special),
    };
    Document { files: &found.rows, problems: &found.problems, totals, not_elf }
}

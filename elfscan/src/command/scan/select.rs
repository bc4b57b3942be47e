//! Which rows are shown, and in which order.

use std::cmp::Ordering;

use clap::ValueEnum;
use elfscan::scan::{Kind, Row, Verdict};

/// What rows can be chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    Kind(Kind),
    Verdict(Verdict),
    /// Set-user-ID, set-group-ID or capabilities.
    Privileged,
}

const VALUES: [Only; 15] = {
    let mut values = [Only::Privileged; 15];
    let mut place = 0;
    while place < Verdict::ALL.len() {
        values[place] = Only::Verdict(Verdict::ALL[place]);
        place += 1;
    }
    while place < Verdict::ALL.len() + Kind::ALL.len() {
        values[place] = Only::Kind(Kind::ALL[place - Verdict::ALL.len()]);
        place += 1;
    }
    values
};

impl ValueEnum for Only {
    fn value_variants<'a>() -> &'a [Self] {
        &VALUES
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        // Names in lower case with hyphens.
        let name = match self {
            Self::Kind(Kind::DynamicPie) => "dynamic-pie",
            Self::Kind(Kind::DynamicNonPie) => "dynamic-non-pie",
            Self::Kind(Kind::StaticPie) => "static-pie",
            Self::Kind(Kind::SharedLibrary) => "shared-library",
            Self::Kind(kind) => kind.name(),
            Self::Verdict(Verdict::AlreadyStatic) => "already-static",
            Self::Verdict(Verdict::NoProgram) => "no-program",
            Self::Verdict(verdict) => verdict.name(),
            Self::Privileged => "privileged",
        };
        Some(clap::builder::PossibleValue::new(name))
    }
}

/// Whether a row has one of the kinds, one of the verdicts and the privileges asked for, where any
/// are.
pub fn is_wanted(row: &Row, only: &[Only]) -> bool {
    let any = |of_sort: fn(&Only) -> bool, fits: &dyn Fn(&Only) -> bool| {
        let mut asked = only.iter().filter(|only| of_sort(only)).peekable();
        asked.peek().is_none() || asked.any(fits)
    };
    any(|only| matches!(only, Only::Kind(_)), &|only| *only == Only::Kind(row.kind()))
        && any(|only| matches!(only, Only::Verdict(_)), &|only| *only == Only::Verdict(row.verdict))
        && any(|only| *only == Only::Privileged, &|_| !row.privileges.is_empty())
}

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Column {
    Path,
    Kind,
    Machine,
    Interpreter,
    Libraries,
    Size,
    Glibc,
    /// The least protected first
    Hardening,
    Privileges,
    Verdict,
}

/// Orders rows, those alike by path.
pub fn sort(rows: &mut [Row], column: Column, reverse: bool) {
    let compare = |a: &Row, b: &Row| {
        let (x, y) = (&a.facts, &b.facts);
        let order = match column {
            Column::Path => Ordering::Equal,
            Column::Kind => a.kind().cmp(&b.kind()),
            Column::Machine => x.machine.cmp(&y.machine),
            Column::Interpreter => x.interpreter.cmp(&y.interpreter),
            Column::Libraries => x.libraries.cmp(&y.libraries),
            Column::Size => a.size.cmp(&b.size),
            Column::Glibc => x.glibc.cmp(&y.glibc),
            Column::Hardening => x.hardening.strength().cmp(&y.hardening.strength()),
            Column::Privileges => a.privileges.cmp(&b.privileges),
            Column::Verdict => (a.verdict, &a.reason).cmp(&(b.verdict, &b.reason)),
        };
        order.then_with(|| a.path.cmp(&b.path))
    };
    rows.sort_by(|a, b| if reverse { compare(b, a) } else { compare(a, b) });
}

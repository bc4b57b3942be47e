//! Sums over rows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Kind, Row, Verdict};

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, row: &Row) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(row.size);
    }
}

/// Sums over rows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Of all.
    #[serde(flatten)]
    pub all: Sum,
    /// Of each kind that there is.
    pub kinds: BTreeMap<Kind, Sum>,
    /// Of each verdict that there is.
    pub verdicts: BTreeMap<Verdict, Sum>,
}

impl Totals {
    /// Over these.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut totals = Self::default();
        for row in rows {
            totals.all.add(row);
            totals.kinds.entry(row.kind()).or_default().add(row);
            totals.verdicts.entry(row.verdict).or_default().add(row);
        }
        totals
    }
}

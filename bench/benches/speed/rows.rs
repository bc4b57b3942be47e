//! What is measured of one program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use statify_bench::convert::Conversion;
use statify_bench::measure::Times;

/// What a row compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// The dynamic program as it is installed.
    Original,
    /// The same program, converted.
    Converted,
    /// Converted with `--fixed`.
    Fixed,
    /// Converted with `--pool`.
    Pooled,
    /// Linked statically with glibc.
    Static,
    /// A program that only exits, measured in the same rounds.
    OnlyExits,
}

impl Column {
    /// All, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Original, Self::Converted, Self::Fixed, Self::Pooled, Self::Static, Self::OnlyExits];

    /// The column's heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Converted => "converted",
            Self::Fixed => "--fixed",
            Self::Pooled => "--pool",
            Self::Static => "glibc -static",
            Self::OnlyExits => "only exits",
        }
    }
}

/// One program.
#[derive(Debug, Default, Serialize)]
pub struct Row {
    pub name: String,
    /// The program's name without arguments.
    pub subject: String,
    /// The original, where it is installed.
    pub program: Option<PathBuf>,
    pub times: BTreeMap<Column, Times>,
    pub conversion: Option<Conversion>,
    /// Why something is missing.
    pub notes: Vec<String>,
}

impl Row {
    /// The median of `column` in microseconds.
    pub fn median(&self, column: Column) -> Option<f64> {
        self.times.get(&column).map(|times| times.median)
    }

    /// The ratio of two medians.
    pub fn ratio(&self, of: Column, over: Column) -> Option<f64> {
        Some(self.median(of)? / self.median(over)?)
    }
}

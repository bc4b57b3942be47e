//! Everything that is measured, in the shape that `--json` writes.

use serde::Serialize;

use crate::goals::Goal;
use crate::rows::Row;
use statify_bench::machine::Machine;

/// One run of the benchmark.
#[derive(Debug, Serialize)]
pub struct Results {
    pub machine: Machine,
    /// Whether parent and children shared one CPU.
    pub pinned: bool,
    pub rows: Vec<Row>,
    pub goals: Vec<Goal>,
}

//! Everything that is measured, in the shape that `--json` writes.

use serde::Serialize;

use crate::goals::Goal;
use crate::machine::Machine;
use crate::rows::Row;

/// One run of the benchmark.
#[derive(Debug, Serialize)]
pub struct Results {
    pub machine: Machine,
    /// Whether parent and children shared one CPU.
    pub pinned: bool,
    pub rows: Vec<Row>,
    pub goals: Vec<Goal>,
}

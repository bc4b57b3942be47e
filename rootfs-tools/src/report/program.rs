//! A converted program, as a report shows it.

use serde::Serialize;

use super::figures::Growth;

/// A converted program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Program {
    /// All names, from ROOT on.
    pub names: Vec<String>,
    /// Its size before and after.
    #[serde(flatten)]
    pub growth: Growth,
    /// What the file system counted for it before.
    pub original_allocated: u64,
    /// And counts after.
    pub converted_allocated: u64,
    /// How many libraries are embedded, the loader among them.
    pub libraries: usize,
    /// The conversion came from the cache.
    pub cached: bool,
}

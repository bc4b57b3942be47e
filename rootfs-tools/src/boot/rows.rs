//! Rows of the paper's Tables 3 and 4.

use serde::Serialize;

use super::options::{System, Way};

/// Bytes or chunks of both guests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// As it was.
    pub normal: u64,
    /// With converted programs.
    pub converted: u64,
    /// The one for each of the other.
    pub times: f64,
}

impl Pair {
    /// Of both.
    pub fn of(normal: u64, converted: u64) -> Self {
        let times = if normal == 0 { 0.0 } else { converted as f64 / normal as f64 };
        Self { normal, converted, times }
    }
}

/// A row of Table 3.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChunkRow {
    /// What is on the images.
    pub system: System,
    /// Of chunks of so many bytes; nothing where bytes are counted.
    pub size: Option<u64>,
    /// Of the whole image: different chunks, or bytes that are not zero.
    pub whole: Pair,
    /// Of what was read until the login: different chunks, or different bytes.
    pub boot: Pair,
}

/// A row of Table 4.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeRow {
    /// From what.
    pub way: Way,
    /// Whether equal pages were merged.
    pub ksm: bool,
    /// As it was.
    pub normal: Side,
    /// With converted programs.
    pub converted: Side,
    /// The one's seconds for each of the other's.
    pub times: f64,
}

/// A guest's half of a row: medians of all rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// From the emulator's start to the login.
    pub seconds: f64,
    /// Of the quickest boot.
    pub least_seconds: f64,
    /// Of the slowest.
    pub most_seconds: f64,
    /// Bytes that the guest read.
    pub read_bytes: f64,
    /// In so many requests.
    pub requests: f64,
    /// Bytes from the store.
    pub fetched_bytes: Option<f64>,
    /// What the emulator has in memory.
    pub resident: f64,
    /// Of the guest's memory, what is in memory.
    pub guest_resident: f64,
    /// What the guest's memory costs, merged pages once. With KSM this and the next are of the first round, when it had
    /// settled.
    pub guest_proportional: f64,
    /// Pages that are merged.
    pub merged_pages: f64,
    /// When as good as all were merged.
    pub settled: Option<f64>,
}

//! What came of a run. Numbers are in bytes and seconds unless their names say otherwise.

use chunkstore::serve::trace::statistics::Statistics;
use serde::Serialize;

use super::machine::Measured;
use super::options::{System, Variant, Way};
use super::rows::{ChunkRow, TimeRow};

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The guest as it was.
    pub normal: String,
    /// The same guest with converted programs.
    pub converted: String,
    /// `kvm` or `software`.
    pub accelerator: &'static str,
    /// Of the machine, in MiB.
    pub memory_mib: u64,
    /// Of the machine.
    pub cpus: u32,
    /// A guest is up when it says this.
    pub until: String,
    /// Of the store.
    pub chunk_size: u64,
    /// How often each was booted.
    pub runs: u32,
    /// The paper's Table 3.
    pub chunks: Vec<ChunkRow>,
    /// The paper's Table 4.
    pub times: Vec<TimeRow>,
    /// What is on the images.
    pub images: Vec<Image>,
    /// What the guests read until the login, in a boot that was not measured.
    pub traces: Vec<Trace>,
    /// All measured boots.
    pub boots: Vec<Boot>,
}

/// An image.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Of which guest.
    pub variant: Variant,
    /// What is on it.
    pub system: System,
    /// Its size.
    pub bytes: u64,
    /// What of it is not zero.
    pub data_bytes: u64,
    /// Different chunks of it, by their size.
    pub chunks: Vec<Chunks>,
}

/// Different chunks of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Chunks {
    /// Their size.
    pub size: u64,
    /// How many.
    pub distinct: u64,
}

/// What a guest read.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    /// Which guest.
    pub variant: Variant,
    /// From what.
    pub system: System,
    /// The trace's file in the directory of the report.
    pub file: String,
    /// What it comes to.
    pub statistics: Statistics,
}

/// A measured boot.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Boot {
    /// From 1.
    pub round: u32,
    /// From what.
    pub way: Way,
    /// Whether equal pages were merged.
    pub ksm: bool,
    /// Which guest.
    pub variant: Variant,
    /// What was measured.
    #[serde(flatten)]
    pub measured: Measured,
    /// Bytes that were fetched from the store by the login, as they are stored.
    pub fetched_bytes: Option<u64>,
}

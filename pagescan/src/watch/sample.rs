//! What is known of one moment.

use serde::Serialize;

use super::changes::Changes;
use super::classes::Classes;
use super::counters::{Ksm, ProcessKsm};
use super::lifetimes::{Survival, Turnover};

/// A moment. Numbers are of pages unless something else is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When its snapshot was begun, in seconds since 1970.
    pub time: f64,
    /// Seconds since the first sample.
    pub seconds: f64,
    /// Seconds that the snapshot took.
    pub snapshot_seconds: f64,
    /// Processes in it.
    pub processes: u64,
    /// Frames in it.
    pub frames: u64,
    /// Pages of processes in it.
    pub pages: u64,
    /// Which pages are shared, and which could be.
    pub classes: Classes,
    /// What has happened to pages since the sample before; nothing at the first.
    pub changes: Option<Changes>,
    /// What has happened to sharings since the sample before.
    pub sharings: Turnover,
    /// How long sharings last, of all that were seen so far.
    pub lifetimes: Vec<Survival>,
    /// Bytes of all processes that are in swap.
    pub swapped: u64,
    /// KSM on the whole machine.
    pub ksm: Ksm,
    /// KSM in processes of the snapshot with which it has to do.
    pub process_ksm: Vec<ProcessKsm>,
    /// Bytes of the page cache.
    pub page_cache: Option<u64>,
}

impl Sample {
    /// Pages that KSM says it saves: those that share, and those in the page of zeros.
    pub fn merged(&self) -> Option<u64> {
        Some(self.ksm.pages_sharing?.saturating_add(self.ksm.ksm_zero_pages.unwrap_or(0)))
    }

    /// The share of sharings that last so many seconds, as far as it is known.
    pub fn lasting(&self, seconds: u32) -> Option<f64> {
        self.lifetimes.iter().find(|row| row.seconds == seconds).map(|row| row.share)
    }
}

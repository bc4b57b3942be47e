//! What a server has done, counted.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters. They never go down.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Reads that were answered.
    pub reads: Counter,
    /// Bytes of them.
    pub read_bytes: Counter,
    /// Reads that failed.
    pub failed_reads: Counter,
    /// Chunks that were in memory.
    pub memory_hits: Counter,
    /// Chunks that were in the cache on the disk.
    pub disk_hits: Counter,
    /// Chunks that were fetched from the store, for a read or beforehand.
    pub fetched: Counter,
    /// Bytes of them as they are stored.
    pub fetched_bytes: Counter,
    /// Fetches that came to nothing, each try.
    pub failed_fetches: Counter,
    /// Time that fetches took, in microseconds.
    pub fetch_microseconds: Counter,
}

/// A number of events.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// As Prometheus reads them (text exposition format 0.0.4).
    pub fn text(&self) -> String {
        let counters = [
            ("reads", "Reads that were answered", &self.reads),
            ("read_bytes", "Bytes of the reads that were answered", &self.read_bytes),
            ("failed_reads", "Reads that failed", &self.failed_reads),
            ("memory_hits", "Chunks that were in memory", &self.memory_hits),
            ("disk_hits", "Chunks that were in the cache on the disk", &self.disk_hits),
            ("fetched", "Chunks that were fetched from the store", &self.fetched),
            ("fetched_bytes", "Bytes that were fetched from the store", &self.fetched_bytes),
            ("failed_fetches", "Tries to fetch that came to nothing", &self.failed_fetches),
            ("fetch_microseconds", "Time that fetches took", &self.fetch_microseconds),
        ];
        let mut text = String::new();
        for (name, help, counter) in counters {
            let name = format!("chunkstore_{name}_total");
            let value = counter.get();
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        }
        text
    }
}

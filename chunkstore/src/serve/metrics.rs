//! What a server has done, counted, as Prometheus reads it.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The upper ends of the histograms' buckets, in seconds: from what memory needs to what a read waits at most.
const BUCKETS: [f64; 20] = [
    10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2,
    0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// How the text of the metrics is called in HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters and histograms.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reads that were answered.
    pub reads: Counter,
    /// Bytes of them.
    pub read_bytes: Counter,
    /// Reads that failed.
    pub failed_reads: Counter,
    /// How long reads took, those that failed as well.
    read_seconds: Histogram,
    /// Chunks that were in memory.
    pub from_memory: Source,
    /// Chunks that were in the cache on the disk.
    pub from_disk: Source,
    /// Chunks that came from the store, for a read or beforehand.
    pub from_store: Source,
    /// Bytes that the store gave, as they are stored.
    pub fetched_bytes: Counter,
    /// Fetches that came to nothing, each try.
    pub failed_fetches: Counter,
    /// How long fetches from the store took that brought a chunk.
    fetch_seconds: Histogram,
    /// Clients that are connected.
    pub clients: Gauge,
    /// Clients that were sent away: there were too many, or they spoke something else.
    pub refused_clients: Counter,
}

/// Where chunks come from.
#[derive(Clone, Debug)]
pub struct Source {
    chunks: Counter,
    bytes: Counter,
}

impl Source {
    /// A chunk of so many bytes came from there.
    pub fn gave(&self, len: usize) {
        self.chunks.inc();
        self.bytes.inc_by(len as u64);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("chunkstore");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let reads = counter("reads", "Reads that were answered");
        let read_bytes = counter("read_bytes", "Bytes of the reads that were answered");
        let failed_reads = counter("failed_reads", "Reads that failed");
        let fetched_bytes = counter("fetched_bytes", "Bytes that the store gave, as stored");
        let failed_fetches = counter("failed_fetches", "Tries to fetch that came to nothing");
        let refused_clients = counter("refused_clients", "Clients that were sent away");
        let mut histogram = |name: &str, help: &str| {
            let histogram = Histogram::new(BUCKETS);
            registry.register(name, help, histogram.clone());
            histogram
        };
        let read_seconds = histogram("read_seconds", "From a read's arrival to its answer");
        let fetch_seconds = histogram("fetch_seconds", "Time that the store took for a chunk");
        let clients = Gauge::default();
        registry.register("clients", "Clients that are connected", clients.clone());
        type BySource = Family<[(&'static str, &'static str); 1], Counter>;
        let (chunks, bytes) = (BySource::default(), BySource::default());
        registry.register("chunks", "Chunks, by where they came from", chunks.clone());
        registry.register("chunk_bytes", "Bytes of these chunks", bytes.clone());
        let source = |from| Source {
            chunks: chunks.get_or_create_owned(&[("from", from)]),
            bytes: bytes.get_or_create_owned(&[("from", from)]),
        };
        Self {
            reads,
            read_bytes,
            failed_reads,
            read_seconds,
            from_memory: source("memory"),
            from_disk: source("disk"),
            from_store: source("store"),
            fetched_bytes,
            failed_fetches,
            fetch_seconds,
            clients,
            refused_clients,
            registry,
        }
    }
}

impl Metrics {
    /// A read of so many bytes was answered after this time.
    pub fn answered(&self, len: u64, after: Duration) {
        self.reads.inc();
        self.read_bytes.inc_by(len);
        self.read_seconds.observe(after.as_secs_f64());
    }

    /// A read failed after this time.
    pub fn failed(&self, after: Duration) {
        self.failed_reads.inc();
        self.read_seconds.observe(after.as_secs_f64());
    }

    /// The store gave a chunk of so many bytes, as it is and as it is stored, in this time.
    pub fn fetched(&self, len: usize, stored: u64, took: Duration) {
        self.from_store.gave(len);
        self.fetched_bytes.inc_by(stored);
        self.fetch_seconds.observe(took.as_secs_f64());
    }

    /// As Prometheus reads them (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Only writing can fail, and a string takes everything.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::default();
        metrics.answered(4096, Duration::from_micros(15));
        metrics.failed(Duration::from_secs(31));
        metrics.fetched(65536, 300, Duration::from_millis(3));
        metrics.from_memory.gave(65536);
        let text = metrics.text();
        for line in [
            "chunkstore_reads_total 1",
            "chunkstore_read_bytes_total 4096",
            "chunkstore_failed_reads_total 1",
            "chunkstore_read_seconds_count 2",
            "chunkstore_read_seconds_bucket{le=\"0.00002\"} 1",
            "chunkstore_read_seconds_bucket{le=\"30.0\"} 1",
            "chunkstore_read_seconds_bucket{le=\"+Inf\"} 2",
            "chunkstore_chunks_total{from=\"memory\"} 1",
            "chunkstore_chunks_total{from=\"disk\"} 0",
            "chunkstore_chunk_bytes_total{from=\"store\"} 65536",
            "chunkstore_fetched_bytes_total 300",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in:\n{text}");
        }
    }
}

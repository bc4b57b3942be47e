//! `chunkstore serve`

use std::path::PathBuf;
use std::time::Duration;

use chunkstore::serve::cache::Cache;
use chunkstore::serve::chunks::{self, Chunks};
use chunkstore::serve::device::Device;
use chunkstore::serve::trace::{self, Trace};
use chunkstore::serve::{nbd, prefetch};
use statify_command_line::say;

use crate::place::StoreArguments;
use crate::trust::TrustArguments;
use crate::{Failure, Verdict};

/// So many chunks are fetched beforehand at once.
const PREFETCHERS: usize = 4;
/// How often the metrics are written.
const METRICS: Duration = Duration::from_secs(5);

/// Serve an image as a read-only block device
///
/// What is read is fetched then, held against its name, and kept. A read that the store does not answer waits, and fails with an
/// input/output error when its patience is over; nothing else is ever read than what was cut.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's name in the store
    index: String,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    trust: TrustArguments,
    /// Where to listen: unix:PATH, a socket for this user
    #[arg(long, value_name = "unix:PATH", value_parser = socket)]
    nbd: PathBuf,
    /// A directory in which chunks are kept, for this and later servers
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// The most that the cache may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096, requires = "cache")]
    cache_limit: u64,
    /// Chunks that are kept in memory, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: u64,
    /// How long a read waits for the store, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// Write each read to this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Fetch beforehand what such a file says was read
    #[arg(long, value_name = "TRACE")]
    prefetch: Option<PathBuf>,
    /// Write counters to this file every five seconds, as Prometheus reads them
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
}

fn socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix:").filter(|path| !path.is_empty());
    path.map(PathBuf::from).ok_or_else(|| "it is to be unix: and the path of a socket".into())
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    let index = arguments.trust.index(&store, &arguments.index)?;
    let about = |path: &PathBuf| {
        let path = statify_printable::path(path);
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let reads = arguments.prefetch.as_ref();
    let reads = reads.map(|path| trace::reads(path).map_err(about(path))).transpose()?;
    let limit = arguments.cache_limit.saturating_mul(1 << 20);
    let cache = arguments.cache.as_ref();
    let cache = cache.map(|path| Cache::open(path, limit).map_err(about(path))).transpose()?;
    let trace = arguments.trace.as_ref();
    let trace = trace.map(|path| Trace::create(path).map_err(about(path))).transpose()?;
    let options = chunks::Options {
        memory: arguments.memory.saturating_mul(1 << 20),
        cache,
        patience: Duration::from_secs(arguments.patience),
    };
    let device = Device { chunks: Chunks::new(store, index, options), trace };
    let listener = nbd::listen(&arguments.nbd).map_err(about(&arguments.nbd))?;
    std::thread::scope(|scope| {
        if let Some(reads) = &reads {
            let chunks = &device.chunks;
            scope.spawn(|| prefetch::fetch(chunks, &prefetch::wanted(chunks, reads), PREFETCHERS));
        }
        if arguments.metrics.is_some() || device.trace.is_some() {
            scope.spawn(|| keep_up(arguments, &device));
        }
        nbd::serve(&listener, &device, &arguments.index, |what| say("chunkstore", what))
    });
    Ok(Verdict::Good)
}

/// Writes counters and the trace, now and then.
fn keep_up(arguments: &Arguments, device: &Device) {
    loop {
        std::thread::sleep(METRICS);
        if let Some(path) = &arguments.metrics {
            let text = device.chunks.metrics.text();
            let _ = statify_files::new_file::write(path, text.as_bytes());
        }
        if let Some(trace) = &device.trace {
            trace.flush();
        }
    }
}

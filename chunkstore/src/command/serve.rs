//! `chunkstore serve`

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use chunkstore::serve::cache::Cache;
use chunkstore::serve::chunks::{self, Chunks};
use chunkstore::serve::device::Device;
use chunkstore::serve::nbd::{Credentials, Service};
use chunkstore::serve::socket::Socket;
use chunkstore::serve::trace::{self, Trace};
use chunkstore::serve::{fuse, prefetch, scrape};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use statify_command_line::{say, signals};

use crate::place::StoreArguments;
use crate::trust::TrustArguments;
use crate::{Failure, Verdict};

/// So many chunks are fetched beforehand at once.
const PREFETCHERS: usize = 4;
/// How often the metrics are written.
const METRICS: Duration = Duration::from_secs(5);

/// Serve an image as a read-only block device, or as a file
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
    /// Where to listen: unix:PATH, a socket for this user; or HOST:PORT, for those whom --tls-certificates knows. Several may be given
    #[arg(long, value_name = "unix:PATH|HOST:PORT", value_parser = address, required_unless_present = "fuse")]
    nbd: Vec<Address>,
    /// An empty directory in which the image appears as a file, for this user
    #[arg(long, value_name = "MOUNTPOINT")]
    fuse: Option<PathBuf>,
    /// A directory with ca-cert.pem, server-cert.pem and server-key.pem: clients at HOST:PORT need a certificate of that CA
    #[arg(long, value_name = "DIR")]
    tls_certificates: Option<PathBuf>,
    /// As many clients may be connected at once; others are sent away
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    clients: u16,
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
    /// Write metrics to this file every five seconds, or give them to who asks at unix:PATH (curl --unix-socket PATH
    /// http://localhost/metrics), as Prometheus reads them
    #[arg(long, value_name = "FILE|unix:PATH", value_parser = metrics)]
    metrics: Option<Metrics>,
}

/// Where NBD is spoken.
#[derive(Clone, Debug)]
enum Address {
    Socket(PathBuf),
    Port(String),
}

fn address(text: &str) -> Result<Address, String> {
    match text.strip_prefix("unix:") {
        Some("") => {}
        Some(path) => return Ok(Address::Socket(path.into())),
        None => {
            let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if parts.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
                return Ok(Address::Port(text.into()));
            }
        }
    }
    Err("it is to be unix: and the path of a socket, or a host and a port".into())
}

/// Where metrics are to be had.
#[derive(Clone, Debug)]
enum Metrics {
    Socket(PathBuf),
    File(PathBuf),
}

fn metrics(text: &str) -> Result<Metrics, String> {
    Ok(match text.strip_prefix("unix:") {
        Some("") => return Err("it is to be a file, or unix: and the path of a socket".into()),
        Some(path) => Metrics::Socket(path.into()),
        None => Metrics::File(text.into()),
    })
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let credentials = credentials(arguments)?;
    let device = Arc::new(device(arguments)?);
    let reads = arguments.prefetch.as_ref();
    let reads = reads.map(|path| trace::reads(path).map_err(about(path))).transpose()?;
    // From here on what is made is taken away again.
    let mut signals = signals::register(&[SIGHUP, SIGINT, SIGTERM], |heeded| Signals::new(heeded))?;
    let (end, ended) = channel();
    let sockets = listen(arguments, &device, credentials)?;
    let mount = arguments.fuse.as_ref().map(|at| {
        let mount = fuse::Mount::new(at, device.clone(), &arguments.index).map_err(about(at))?;
        Ok::<_, String>(Arc::new(mount))
    });
    let mount = mount.transpose()?;
    if let Some(mount) = mount.clone() {
        let (end, is_alone) = (end.clone(), arguments.nbd.is_empty());
        std::thread::spawn(move || {
            let served = mount.serve();
            if let Err(error) = &served {
                say("chunkstore", &format!("FUSE has ended: {error}"));
            }
            // Somebody has unmounted it.
            if is_alone {
                let _ = end.send(served.map_err(Failure::from));
            }
        });
    }
    if let Some(reads) = reads {
        let device = device.clone();
        std::thread::spawn(move || {
            let chunks = &device.chunks;
            prefetch::fetch(chunks, &prefetch::wanted(chunks, &reads), PREFETCHERS);
        });
    }
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let _ = end.send(Ok(()));
        }
    });
    let outcome = wait(arguments, &device, &ended);
    if let Some(mount) = mount {
        mount.end().map_err(|error| format!("it could not be unmounted: {error}"))?;
    }
    drop(sockets);
    outcome.map(|()| Verdict::Good)
}

/// What is to be read.
fn device(arguments: &Arguments) -> Result<Device, Failure> {
    let store = arguments.store.open()?;
    let index = arguments.trust.index(&store, &arguments.index)?;
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
    Ok(Device { chunks: Chunks::new(store, index, options), trace })
}

/// For ports; without it there are none.
fn credentials(arguments: &Arguments) -> Result<Option<Credentials>, Failure> {
    let ports = arguments.nbd.iter().any(|address| matches!(address, Address::Port(_)));
    match &arguments.tls_certificates {
        None if ports => Err("a port is opened with --tls-certificates only; without them serve at a socket (--nbd unix:PATH)".into()),
        Some(_) if !ports => Err("--tls-certificates is for a port (--nbd HOST:PORT); what is served at a socket is not encrypted".into()),
        dir => Ok(dir.as_ref().map(|dir| Credentials::load(dir)).transpose()?),
    }
}

/// Begins to serve NBD and metrics. The sockets are to be kept.
fn listen(
    arguments: &Arguments,
    device: &Arc<Device>,
    credentials: Option<Credentials>,
) -> Result<Vec<Socket>, Failure> {
    let tell = Box::new(|what: &str| say("chunkstore", what));
    let most = usize::from(arguments.clients);
    let service = Arc::new(Service::new(device.clone(), &arguments.index, most, tell));
    let mut sockets = Vec::new();
    for address in &arguments.nbd {
        let service = service.clone();
        match (address, &credentials) {
            (Address::Socket(path), _) => {
                let socket = Socket::listen(path).map_err(about(path))?;
                let listener = socket.listener.try_clone()?;
                std::thread::spawn(move || service.local(&listener));
                sockets.push(socket);
            }
            (Address::Port(address), Some(credentials)) => {
                let listener = TcpListener::bind(address);
                let listener = listener.map_err(|error| format!("{address}: {error}"))?;
                let credentials = credentials.clone();
                std::thread::spawn(move || service.encrypted(&listener, &credentials));
            }
            (Address::Port(_), None) => {}
        }
    }
    if let Some(Metrics::Socket(path)) = &arguments.metrics {
        let socket = Socket::listen(path).map_err(about(path))?;
        let (listener, device) = (socket.listener.try_clone()?, device.clone());
        std::thread::spawn(move || scrape::serve(&listener, &device.chunks.metrics));
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Waits for the end; writes metrics and the trace now and then, and at the end.
fn wait(
    arguments: &Arguments,
    device: &Device,
    ended: &Receiver<Result<(), Failure>>,
) -> Result<(), Failure> {
    loop {
        let outcome = ended.recv_timeout(METRICS);
        if let Some(Metrics::File(path)) = &arguments.metrics {
            let text = device.chunks.metrics.text();
            let _ = statify_files::new_file::write(path, text.as_bytes());
        }
        if let Some(trace) = &device.trace {
            trace.flush();
        }
        match outcome {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn about(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = statify_printable::path(path).to_string();
    move |error| format!("{path}: {error}")
}

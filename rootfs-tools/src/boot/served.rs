//! The store, and an image of it served to a machine over NBD.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chunkstore::cut;
use chunkstore::serve::cache::Cache;
use chunkstore::serve::chunks::{self, Chunks};
use chunkstore::serve::device::Device;
use chunkstore::serve::socket::Socket;
use chunkstore::serve::trace::{self, Trace};
use chunkstore::serve::{nbd, prefetch};
use chunkstore::{ChunkSize, Chunking, Store};
use statify_store::Place;

use super::options::{System, Variant};
use crate::error::boot::Fault;
use crate::error::{Error, Result};

/// As `chunkstore serve` has them if nothing is said.
const MEMORY: u64 = 256 << 20;
const CACHE: u64 = 4 << 30;
const PATIENCE: Duration = Duration::from_secs(30);
const PREFETCHERS: usize = 4;

/// The store in the scratch directory.
#[derive(Debug)]
pub struct Stored {
    place: Place,
    scratch: PathBuf,
}

/// What a server has beside the store.
#[derive(Clone, Copy, Debug)]
pub struct Help<'a> {
    /// Its cache's directory.
    pub cache: &'a Path,
    /// What it writes down reads in.
    pub trace: Option<&'a Path>,
    /// What it fetches beforehand.
    pub prefetch: Option<&'a Path>,
}

impl Stored {
    /// A new store.
    pub fn new(scratch: &Path) -> Result<Self> {
        let dir = scratch.join("store");
        // A store is one's own, whatever the umask.
        let made = fs::DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(Error::file("made", &dir))?;
        let place = Place::parse(dir.into_os_string())?;
        Ok(Self { place, scratch: scratch.to_owned() })
    }

    fn open(&self) -> Result<Store, Fault> {
        // A directory needs nothing of the environment.
        Ok(Store::open(&self.place, |_| None)?)
    }

    /// Cuts an image into it.
    pub fn cut(&self, image: &Path, label: &str, chunk_size: ChunkSize) -> Result<(), Fault> {
        let options = cut::Options {
            chunking: Chunking::Fixed(chunk_size),
            label: label.into(),
            replace: false,
            level: 3,
            signer: None,
        };
        cut::cut(&self.open()?, image, &options, |_, _| {})?;
        Ok(())
    }

    /// Serves an image of it.
    pub fn serve(&self, label: &str, help: Help<'_>) -> Result<Server> {
        let store = self.open()?;
        let index = store.index(label).map_err(Fault::Store)?;
        let cache = Cache::open(help.cache, CACHE).map_err(Error::file("opened", help.cache))?;
        let reads = help.prefetch.map(|path| trace::reads(path).map_err(Error::file("read", path)));
        let reads = reads.transpose()?.unwrap_or_default();
        let trace =
            help.trace.map(|path| Trace::create(path).map_err(Error::file("written", path)));
        let options = chunks::Options { memory: MEMORY, cache: Some(cache), patience: PATIENCE };
        let device =
            Device { chunks: Chunks::new(store, index, options), trace: trace.transpose()? };
        let socket = self.scratch.join("nbd");
        Server::start(device, socket.clone(), label, &reads)
            .map_err(|error| Fault::Serve(socket, error).into())
    }
}

/// What an image is called in the store.
pub fn label(system: System, variant: Variant) -> String {
    format!("{}.{}", variant.name(), system.name())
}

/// A server, which ends with this, after those whom it serves.
pub struct Server {
    device: Arc<Device>,
    socket: PathBuf,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    fn start(
        device: Device,
        socket: PathBuf,
        label: &str,
        reads: &[trace::Read],
    ) -> io::Result<Self> {
        let listening = Socket::listen(&socket)?;
        let (device, is_over) = (Arc::new(device), Arc::new(AtomicBool::new(false)));
        let accept = {
            let (device, is_over, label) = (device.clone(), is_over.clone(), label.to_owned());
            thread::spawn(move || accept(&listening.listener, &device, &label, &is_over))
        };
        let mut threads = vec![accept];
        if !reads.is_empty() {
            let (device, wanted) = (device.clone(), prefetch::wanted(&device.chunks, reads));
            threads.push(thread::spawn(move || {
                prefetch::fetch(&device.chunks, &wanted, PREFETCHERS);
            }));
        }
        Ok(Self { device, socket, is_over, threads })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Bytes that were fetched from the store so far, as they are stored.
    pub fn fetched(&self) -> u64 {
        self.device.chunks.metrics.fetched_bytes.get()
    }

    /// Ends it. All that was written down of reads is in its file then.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // It waits for somebody.
        let _ = UnixStream::connect(&self.socket);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(trace) = &self.device.trace {
            trace.flush();
        }
    }
}

/// Serves everybody who comes, until it is over and all have gone.
fn accept(listener: &UnixListener, device: &Arc<Device>, label: &str, is_over: &AtomicBool) {
    thread::scope(|scope| {
        while let Ok((stream, _)) = listener.accept() {
            if is_over.load(Ordering::Acquire) {
                break;
            }
            // Its end is the machine's, which says itself what it lacks.
            scope.spawn(|| nbd::client(stream, device, label));
        }
    });
}

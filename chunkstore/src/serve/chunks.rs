//! The chunks of an image, wherever they are. Several who want the same chunk wait for one who fetches it; an error is
//! theirs, and is not remembered: who asks again tries again.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::cache::Cache;
use super::metrics::Metrics;
use crate::fetch;
use crate::index::{Index, Record};
use crate::name::ChunkName;
use crate::store::Store;

/// Between tries to fetch a chunk; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);

/// How chunks are kept.
#[derive(Debug)]
pub struct Options {
    /// Chunks in memory, in bytes.
    pub memory: u64,
    /// Chunks on the disk.
    pub cache: Option<Cache>,
    /// How long a read waits for a store that does not give a chunk before it fails.
    pub patience: Duration,
}

/// The chunks of an image.
#[derive(Debug)]
pub struct Chunks {
    store: Store,
    /// Which they are.
    pub index: Index,
    options: Options,
    memory: Mutex<LruCache<usize, Arc<[u8]>>>,
    flights: Mutex<HashMap<usize, Arc<Flight>>>,
    /// Where chunks lie by now, if packs were found to be gone.
    moved: Mutex<Option<Arc<Moved>>>,
    /// Reads that wait for a chunk.
    waiting: AtomicUsize,
    /// What happens is counted here.
    pub metrics: Metrics,
}

/// A chunk that somebody fetches.
#[derive(Debug, Default)]
struct Flight {
    outcome: Mutex<Option<Result<Arc<[u8]>, String>>>,
    done: Condvar,
}

/// For whom a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A read that waits.
    Read,
    /// Nobody yet.
    Later,
}

impl Chunks {
    /// Those of an index.
    pub fn new(store: Store, index: Index, options: Options) -> Self {
        let most = (options.memory / index.chunking.most()).max(1) as usize;
        let memory =
            Mutex::new(LruCache::new(NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN)));
        Self {
            store,
            index,
            options,
            memory,
            flights: Mutex::default(),
            moved: Mutex::default(),
            waiting: AtomicUsize::new(0),
            metrics: Metrics::default(),
        }
    }

    /// A chunk that is in memory.
    pub fn at_hand(&self, number: usize) -> Option<Arc<[u8]>> {
        lock(&self.memory).get(&number).cloned()
    }

    /// Whether a read waits for a chunk now.
    pub fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// A chunk, by its number in the index.
    pub fn get(&self, number: usize, whom: For) -> io::Result<Arc<[u8]>> {
        if let Some(bytes) = self.at_hand(number) {
            self.metrics.memory_hits.add(1);
            return Ok(bytes);
        }
        if whom == For::Later {
            return self.arrive(number);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let got = self.arrive(number);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        got
    }

    /// Fetches a chunk, or waits for who does.
    fn arrive(&self, number: usize) -> io::Result<Arc<[u8]>> {
        let (flight, is_own) = {
            let mut flights = lock(&self.flights);
            // It may have arrived since memory was looked at.
            if let Some(bytes) = self.at_hand(number) {
                return Ok(bytes);
            }
            match flights.get(&number) {
                Some(flight) => (flight.clone(), false),
                None => (flights.entry(number).or_default().clone(), true),
            }
        };
        if is_own {
            let outcome = self.find(number);
            if let Ok(bytes) = &outcome {
                lock(&self.memory).put(number, bytes.clone());
            }
            lock(&self.flights).remove(&number);
            *lock(&flight.outcome) = Some(outcome);
            flight.done.notify_all();
        }
        let mut outcome = lock(&flight.outcome);
        loop {
            match &*outcome {
                Some(Ok(bytes)) => return Ok(bytes.clone()),
                Some(Err(why)) => return Err(io::Error::other(why.clone())),
                None => {
                    let waited = flight.done.wait(outcome);
                    outcome = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn find(&self, number: usize) -> Result<Arc<[u8]>, String> {
        let chunk = &self.index.chunks[number];
        let cache = self.options.cache.as_ref();
        if let Some(bytes) = cache.and_then(|cache| cache.get(&chunk.name, chunk.len as usize)) {
            self.metrics.disk_hits.add(1);
            return Ok(bytes.into());
        }
        let since = Instant::now();
        let mut pause = PAUSE;
        loop {
            match self.fetch(chunk) {
                Ok(bytes) => {
                    self.metrics.fetched.add(1);
                    self.metrics.fetched_bytes.add(chunk.stored.into());
                    self.metrics.fetch_microseconds.add(since.elapsed().as_micros() as u64);
                    if let Some(cache) = cache {
                        cache.put(&chunk.name, &bytes);
                    }
                    return Ok(bytes.into());
                }
                Err(error) => {
                    self.metrics.failed_fetches.add(1);
                    // A store may recover, and a chunk that was damaged on its way comes well the next time.
                    if since.elapsed() + pause > self.options.patience {
                        return Err(error.to_string());
                    }
                    std::thread::sleep(pause);
                    pause *= 2;
                }
            }
        }
    }
}

impl Chunks {
    /// A chunk out of the store. Where its pack is gone, it may have been repacked: then the image's index of today says where it
    /// lies. What it is, the index says that was read first.
    fn fetch(&self, chunk: &Record) -> crate::Result<Vec<u8>> {
        match self.fetch_where_known(chunk) {
            Err(crate::Error::Request(what, error)) if error.kind() == io::ErrorKind::NotFound => {
                let Ok(index) = self.store.index(&self.index.label) else {
                    return Err(crate::Error::Request(what, error));
                };
                *lock(&self.moved) = Some(Arc::new(Moved::of(index)));
                self.fetch_where_known(chunk)
            }
            other => other,
        }
    }

    fn fetch_where_known(&self, chunk: &Record) -> crate::Result<Vec<u8>> {
        let moved = lock(&self.moved).clone();
        match moved.as_ref().and_then(|moved| Some((&moved.index, moved.find(chunk)?))) {
            Some((index, place)) => fetch::chunk(&self.store, index, &place),
            None => fetch::chunk(&self.store, &self.index, chunk),
        }
    }
}

/// The image's index as it is by now.
#[derive(Debug)]
struct Moved {
    index: Index,
    /// The chunks in it, by name.
    numbers: HashMap<ChunkName, usize>,
}

impl Moved {
    fn of(index: Index) -> Self {
        let numbers = index.chunks.iter().enumerate().map(|(n, chunk)| (chunk.name, n)).collect();
        Self { index, numbers }
    }

    /// Where the same chunk lies; its length is what it was.
    fn find(&self, chunk: &Record) -> Option<Record> {
        let found = self.index.chunks[*self.numbers.get(&chunk.name)?];
        Some(found).filter(|found| found.len == chunk.len)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

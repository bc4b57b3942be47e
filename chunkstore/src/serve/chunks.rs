//! The chunks of an image, wherever they are. Several who want the same chunk wait for one who fetches it; an error is
//! theirs, and is not remembered: who asks again tries again.
//!
//! Whoever reads waits no longer than was said, whatever the store does: fetching is done by threads of its own, which go on while
//! somebody waits.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::cache::Cache;
use super::flight::{Bytes, Flight, Waited};
use super::memory::Memory;
use super::metrics::Metrics;
use super::moved::Moved;
use super::threads::Threads;
use crate::index::Index;
use crate::store::Store;

/// Between tries to fetch a chunk; doubled each time,
const PAUSE: Duration = Duration::from_millis(100);
/// up to this: a store that has recovered is soon found.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// So many chunks are fetched at once.
const FETCHERS: usize = 32;

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
    cache: Option<Cache>,
    patience: Duration,
    memory: Memory,
    flights: Mutex<HashMap<usize, Arc<Flight>>>,
    moved: Moved,
    fetchers: Threads,
    /// For the fetchers, who keep nothing alive.
    this: Weak<Self>,
    /// Reads that wait for a chunk.
    waiting: AtomicUsize,
    /// What happens is counted here.
    pub metrics: Metrics,
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
    pub fn new(store: Store, index: Index, options: Options) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            store,
            index,
            cache: options.cache,
            patience: options.patience,
            memory: Memory::new(options.memory),
            flights: Mutex::default(),
            moved: Moved::default(),
            fetchers: Threads::new(FETCHERS),
            this: this.clone(),
            waiting: AtomicUsize::new(0),
            metrics: Metrics::default(),
        })
    }

    /// A chunk that is in memory.
    pub fn at_hand(&self, number: usize) -> Option<Bytes> {
        self.memory.get(number)
    }

    /// Whether a read waits for a chunk now.
    pub fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// A chunk, by its number in the index.
    pub fn get(&self, number: usize, whom: For) -> io::Result<Bytes> {
        self.ask(number, whom).wait()
    }

    /// A chunk that is wanted soon: whoever asks for several before waiting for the first has them fetched at once.
    pub fn ask(&self, number: usize, whom: For) -> Asked<'_> {
        let until = Instant::now() + self.patience;
        if whom == For::Read {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        let state = match self.at_hand(number) {
            Some(bytes) => {
                self.metrics.from_memory.gave(bytes.len());
                State::Here(bytes)
            }
            None => self.board(number),
        };
        Asked { chunks: self, number, whom, until, state }
    }

    /// Waits with who fetches it, who begins now if there is nobody.
    fn board(&self, number: usize) -> State {
        let mut flights = lock(&self.flights);
        // It may have arrived since memory was looked at.
        if let Some(bytes) = self.at_hand(number) {
            return State::Here(bytes);
        }
        // One that all others have given up may wait for an answer that never comes.
        if let Some(flight) = flights.get(&number).filter(|flight| !flight.is_forsaken()) {
            flight.board();
            return State::Waits(flight.clone());
        }
        let flight = Arc::<Flight>::default();
        flight.board();
        flights.insert(number, flight.clone());
        drop(flights);
        let (this, own) = (self.this.clone(), flight.clone());
        self.fetchers.run(move || {
            if let Some(chunks) = this.upgrade() {
                chunks.fly(number, &own);
            }
        });
        State::Waits(flight)
    }

    /// Fetches a chunk for those who wait for it, until it is here or nobody waits any more.
    fn fly(&self, number: usize, flight: &Arc<Flight>) {
        let chunk = &self.index.chunks[number];
        let cache = self.cache.as_ref();
        if let Some(bytes) = cache.and_then(|cache| cache.get(&chunk.name, chunk.len as usize)) {
            self.metrics.from_disk.gave(bytes.len());
            return self.land(number, flight, bytes.into());
        }
        let mut pause = PAUSE;
        while !self.is_given_up(number, flight) {
            let since = Instant::now();
            match self.moved.fetch(&self.store, &self.index, chunk) {
                Ok(bytes) => {
                    let bytes = Bytes::from(bytes);
                    self.metrics.fetched(bytes.len(), chunk.stored.into(), since.elapsed());
                    self.land(number, flight, bytes.clone());
                    if let Some(cache) = cache {
                        cache.put(&chunk.name, &bytes);
                    }
                    return;
                }
                Err(error) => {
                    self.metrics.failed_fetches.inc();
                    flight.delay(error.to_string());
                    // A store may recover, and a chunk that was damaged on its way comes well the next time.
                    std::thread::sleep(pause);
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    fn land(&self, number: usize, flight: &Arc<Flight>, bytes: Bytes) {
        self.memory.put(number, bytes.clone());
        forget(&mut lock(&self.flights), number, flight);
        flight.land(bytes);
    }

    /// Whether nobody waits any more: whoever comes from now on begins anew.
    fn is_given_up(&self, number: usize, flight: &Arc<Flight>) -> bool {
        let mut flights = lock(&self.flights);
        let is_over = flight.is_forsaken();
        if is_over {
            forget(&mut flights, number, flight);
        }
        is_over
    }
}

/// Another one for the same chunk may be on its way since.
fn forget(flights: &mut HashMap<usize, Arc<Flight>>, number: usize, flight: &Arc<Flight>) {
    if flights.get(&number).is_some_and(|other| Arc::ptr_eq(other, flight)) {
        flights.remove(&number);
    }
}

/// A chunk that somebody waits for.
#[derive(Debug)]
pub struct Asked<'a> {
    chunks: &'a Chunks,
    number: usize,
    whom: For,
    until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Here(Bytes),
    Waits(Arc<Flight>),
}

impl Asked<'_> {
    /// Waits for it, no longer than was said from when it was asked for.
    pub fn wait(self) -> io::Result<Bytes> {
        let flight = match &self.state {
            State::Here(bytes) => return Ok(bytes.clone()),
            State::Waits(flight) => flight,
        };
        match flight.wait(self.until) {
            Waited::Here(bytes) => Ok(bytes),
            Waited::Late(why) => {
                let name = self.chunks.index.chunks[self.number].name;
                let seconds = self.chunks.patience.as_secs_f32();
                let why = why.unwrap_or_else(|| "the store does not answer".into());
                let what = format!("the chunk {name} did not come within {seconds} s: {why}");
                Err(io::Error::new(io::ErrorKind::TimedOut, what))
            }
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.whom == For::Read {
            self.chunks.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        if let State::Waits(flight) = &self.state {
            // So that nobody boards one that is just given up.
            let _flights = lock(&self.chunks.flights);
            flight.leave();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! An image read here and there, as a file system is.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::error::{Error, Result};
use crate::fetch;
use crate::index::Index;
use crate::store::Store;

/// Chunks that are kept in memory, in bytes.
const MEMORY: u64 = 64 << 20;

/// Reads an image.
#[derive(Debug)]
pub struct Reader {
    store: Arc<Store>,
    index: Index,
    memory: Mutex<LruCache<usize, Arc<[u8]>>>,
    /// The first chunk that could not be had.
    failed: Mutex<Option<Error>>,
}

impl Reader {
    /// That of an index.
    pub fn new(store: Arc<Store>, index: Index) -> Self {
        let most = (MEMORY / index.chunking.most()).max(1) as usize;
        let memory = LruCache::new(NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN));
        Self { store, index, memory: Mutex::new(memory), failed: Mutex::default() }
    }

    /// The image's size, in bytes.
    pub fn len(&self) -> u64 {
        self.index.image_len
    }

    /// Why a chunk could not be had, if one could not.
    pub fn failure(&self) -> Result<()> {
        lock(&self.failed).take().map_or(Ok(()), Err)
    }

    /// The image's bytes from `offset` on: as many as `into` has.
    pub fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.index.image_len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, into);
        while !rest.is_empty() {
            let position = self.index.position_of(at);
            let (start, next) = (self.index.start_of(position), self.index.start_of(position + 1));
            let len = rest.len().min((next - at) as usize);
            let (part, behind) = rest.split_at_mut(len);
            match self.index.at(position) {
                Some(chunk) => {
                    let within = (at - start) as usize;
                    part.copy_from_slice(&self.chunk(chunk)?[within..within + len]);
                }
                None => part.fill(0),
            }
            at += len as u64;
            rest = behind;
        }
        Ok(())
    }

    fn chunk(&self, number: usize) -> io::Result<Arc<[u8]>> {
        if let Some(bytes) = lock(&self.memory).get(&number) {
            return Ok(bytes.clone());
        }
        match fetch::chunk(&self.store, &self.index, &self.index.chunks[number]) {
            Ok(bytes) => {
                let bytes: Arc<[u8]> = bytes.into();
                lock(&self.memory).put(number, bytes.clone());
                Ok(bytes)
            }
            Err(error) => {
                let said = io::Error::other(error.to_string());
                lock(&self.failed).get_or_insert(error);
                Err(said)
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

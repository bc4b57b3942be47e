//! Chunks out of the store, also where packs were repacked since the index was read: then the image's index of today says where
//! they lie. What they are, the index says that was read first.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::fetch;
use crate::index::{Index, Record};
use crate::name::ChunkName;
use crate::store::Store;

/// Where chunks lie by now, if packs were found to be gone.
#[derive(Debug, Default)]
pub struct Moved(Mutex<Option<Arc<Now>>>);

impl Moved {
    /// A chunk of an index.
    pub fn fetch(&self, store: &Store, index: &Index, chunk: &Record) -> Result<Vec<u8>> {
        match self.fetch_where_known(store, index, chunk) {
            Err(Error::Request(what, error)) if error.kind() == io::ErrorKind::NotFound => {
                let Ok(now) = store.index(&index.label) else {
                    return Err(Error::Request(what, error));
                };
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Now::of(now));
                self.fetch_where_known(store, index, chunk)
            }
            other => other,
        }
    }

    fn fetch_where_known(&self, store: &Store, index: &Index, chunk: &Record) -> Result<Vec<u8>> {
        let now = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match now.as_ref().and_then(|now| Some((&now.index, now.find(chunk)?))) {
            Some((index, place)) => fetch::chunk(store, index, &place),
            None => fetch::chunk(store, index, chunk),
        }
    }
}

/// The image's index as it is by now.
#[derive(Debug)]
struct Now {
    index: Index,
    /// The chunks in it, by name.
    numbers: HashMap<ChunkName, usize>,
}

impl Now {
    fn of(index: Index) -> Arc<Self> {
        let numbers = index.chunks.iter().enumerate().map(|(n, chunk)| (chunk.name, n)).collect();
        Arc::new(Self { index, numbers })
    }

    /// Where the same chunk lies; its length is what it was.
    fn find(&self, chunk: &Record) -> Option<Record> {
        let found = self.index.chunks[*self.numbers.get(&chunk.name)?];
        Some(found).filter(|found| found.len == chunk.len)
    }
}

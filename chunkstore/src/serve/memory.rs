//! Chunks in memory: those that were used last, up to a number of bytes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::flight::Bytes;

/// Chunks by their numbers in the index.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    chunks: LruCache<usize, Bytes>,
    bytes: u64,
}

impl Memory {
    /// Empty. One chunk is kept whatever the limit.
    pub fn new(limit: u64) -> Self {
        Self { limit, kept: Mutex::new(Kept { chunks: LruCache::unbounded(), bytes: 0 }) }
    }

    /// A chunk, if it is there.
    pub fn get(&self, number: usize) -> Option<Bytes> {
        self.kept().chunks.get(&number).cloned()
    }

    /// Keeps a chunk, and forgets those that were not used for longest.
    pub fn put(&self, number: usize, bytes: Bytes) {
        let mut kept = self.kept();
        kept.bytes += bytes.len() as u64;
        if let Some(before) = kept.chunks.put(number, bytes) {
            kept.bytes -= before.len() as u64;
        }
        while kept.bytes > self.limit && kept.chunks.len() > 1 {
            let Some((_, forgotten)) = kept.chunks.pop_lru() else { break };
            kept.bytes -= forgotten.len() as u64;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_one_of_bytes() {
        let memory = Memory::new(100);
        for (number, len) in [(0, 40), (1, 50), (2, 10)] {
            memory.put(number, vec![0; len].into());
        }
        assert!(memory.get(0).is_some());
        memory.put(3, vec![0; 30].into());
        let there: Vec<usize> = (0..4).filter(|number| memory.get(*number).is_some()).collect();
        assert_eq!(there, [0, 2, 3]);
        memory.put(4, vec![0; 1000].into());
        let there: Vec<usize> = (0..5).filter(|number| memory.get(*number).is_some()).collect();
        assert_eq!(there, [4]);
    }
}

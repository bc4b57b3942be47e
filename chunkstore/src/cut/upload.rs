//! Packs filled, and put into the store by a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender};

use crate::error::Result;
use crate::name::ChunkName;
use crate::pack::Builder;
use crate::store::{BlobName, Store};

/// The packs of a cut.
#[derive(Debug)]
pub struct Packs {
    builder: Builder,
    /// The chunks in it, by their numbers in the index.
    numbers: Vec<usize>,
    /// How many were closed.
    closed: u32,
    to_send: Option<SyncSender<Vec<u8>>>,
    /// Where chunks lie in their packs.
    offsets: Vec<(usize, u32)>,
}

impl Packs {
    /// None yet. Closed ones go into `to_send`.
    pub fn new(to_send: SyncSender<Vec<u8>>) -> Self {
        Self {
            builder: Builder::default(),
            numbers: Vec::new(),
            closed: 0,
            to_send: Some(to_send),
            offsets: Vec::new(),
        }
    }

    /// Adds a chunk. Returns the number of its pack; `None` if nobody takes packs any more.
    pub fn add(&mut self, number: usize, name: ChunkName, len: u32, frame: &[u8]) -> Option<u32> {
        if self.builder.is_full() {
            self.send()?;
        }
        self.builder.add(name, len, frame);
        self.numbers.push(number);
        Some(self.closed)
    }

    /// Sends what is left, and says that it was the last. `None` if nobody takes packs any more.
    pub fn close(&mut self) -> Option<()> {
        let sent = if self.builder.is_empty() { Some(()) } else { self.send() };
        self.to_send = None;
        sent
    }

    fn send(&mut self) -> Option<()> {
        let (bytes, entries) = std::mem::take(&mut self.builder).finish();
        let numbers = std::mem::take(&mut self.numbers);
        let offsets = numbers.into_iter().zip(entries.iter().map(|entry| entry.offset));
        self.offsets.extend(offsets);
        self.closed += 1;
        self.to_send.as_ref()?.send(bytes).ok()
    }

    /// Where each chunk lies in its pack, by its number in the index.
    pub fn offsets(&self) -> impl Iterator<Item = (usize, u32)> {
        self.offsets.iter().copied()
    }
}

/// Puts packs into the store as they come; returns their names.
pub fn put_all(store: &Store, packs: Receiver<Vec<u8>>) -> Result<Vec<BlobName>> {
    packs.into_iter().map(|pack| store.put_pack(&pack)).collect()
}

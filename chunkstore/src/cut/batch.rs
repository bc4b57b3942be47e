//! What is cut, on its way from whoever reads it to whoever hashes it.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::error::Result;

/// Bytes of an image.
#[derive(Debug)]
pub struct Batch {
    /// Where they begin in the image.
    pub start: u64,
    /// Whole chunks, and perhaps more that is not cut yet.
    pub bytes: Vec<u8>,
    /// The chunks in it, in their order.
    pub pieces: Vec<Range<usize>>,
}

impl Batch {
    /// Where its last chunk ends in the image.
    pub fn end(&self) -> u64 {
        self.start + self.pieces.last().map_or(0, |piece| piece.end) as u64
    }
}

/// Where batches go to.
#[derive(Debug)]
pub struct Feed {
    batches: SyncSender<Result<Batch>>,
    spare: Receiver<Vec<u8>>,
}

/// Where they come from.
#[derive(Debug)]
pub struct Batches {
    batches: Receiver<Result<Batch>>,
    spare: Sender<Vec<u8>>,
}

/// Both ends. One batch waits at most.
pub fn feed() -> (Feed, Batches) {
    let (give, batches) = sync_channel(1);
    let (return_to, spare) = channel();
    (Feed { batches: give, spare }, Batches { batches, spare: return_to })
}

impl Feed {
    /// Room for so many bytes, which has anything in it: what was handed on before is used again.
    pub fn room(&self, len: usize) -> Vec<u8> {
        let mut room = self.spare.try_recv().unwrap_or_default();
        room.resize(len, 0);
        room
    }

    /// Hands on a batch. An error is the last that is heard. Returns whether more is wanted.
    pub fn give(&self, batch: Result<Batch>) -> bool {
        let is_last = batch.is_err();
        self.batches.send(batch).is_ok() && !is_last
    }
}

impl Batches {
    /// The next one.
    pub fn next(&self) -> Option<Result<Batch>> {
        self.batches.recv().ok()
    }

    /// Gives back the room of one that is done.
    pub fn done(&self, batch: Batch) {
        // Nobody wants it at the end.
        let _ = self.spare.send(batch.bytes);
    }
}

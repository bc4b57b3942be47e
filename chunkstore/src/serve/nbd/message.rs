//! Bytes on their way to a client: headers, and parts of chunks that are never copied.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::connection::{Connection, Turn};
use crate::serve::device::Part;

/// For parts that are zeros.
const ZEROS: &[u8] = &[0; 64 << 10];

/// Bytes to be sent.
#[derive(Default)]
pub struct Message {
    /// Those of headers.
    headers: Vec<u8>,
    pieces: Vec<Piece>,
    /// Bytes of the chunks that cannot be forgotten before this is sent.
    held: usize,
}

enum Piece {
    Header(Range<usize>),
    Part(Part),
}

impl Message {
    /// Adds bytes of a header.
    pub fn header(&mut self, bytes: &[u8]) {
        let start = self.headers.len();
        self.headers.extend(bytes);
        match self.pieces.last_mut() {
            Some(Piece::Header(range)) => range.end = self.headers.len(),
            _ => self.pieces.push(Piece::Header(start..self.headers.len())),
        }
    }

    /// Adds what was read.
    pub fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            if let Part::Bytes(chunk, _) = part {
                self.held += chunk.len();
            }
            self.pieces.push(Piece::Part(part.clone()));
        }
    }

    /// Bytes of the chunks that cannot be forgotten before this is sent.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Sends it, and is empty then.
    pub fn send<C: Connection>(&mut self, turn: &Turn<'_, C>) -> io::Result<()> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        let mut slices = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Header(range) => slices.push(IoSlice::new(&self.headers[range.clone()])),
                Piece::Part(Part::Bytes(chunk, range)) => {
                    slices.push(IoSlice::new(&chunk[range.clone()]));
                }
                Piece::Part(Part::Zeros(len)) => {
                    let mut left = *len as usize;
                    while left > 0 {
                        let some = left.min(ZEROS.len());
                        slices.push(IoSlice::new(&ZEROS[..some]));
                        left -= some;
                    }
                }
            }
        }
        let sent = turn.send(&mut slices);
        self.headers.clear();
        self.pieces.clear();
        self.held = 0;
        sent
    }
}

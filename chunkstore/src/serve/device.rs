//! The image as a device: bytes by their offsets.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::chunks::{Chunks, For};
use super::trace::Trace;

/// A read-only device.
#[derive(Debug)]
pub struct Device {
    /// Where its bytes come from.
    pub chunks: Chunks,
    /// What is asked of it.
    pub trace: Option<Trace>,
}

/// A part of what was read.
#[derive(Clone, Debug)]
pub enum Part {
    /// So many zeros.
    Zeros(u64),
    /// These bytes of a chunk.
    Bytes(Arc<[u8]>, Range<usize>),
}

impl Part {
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        match self {
            Self::Zeros(len) => *len,
            Self::Bytes(_, range) => range.len() as u64,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Device {
    /// In bytes.
    pub fn len(&self) -> u64 {
        self.chunks.index.image_len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is in a range, if all of it is in memory.
    pub fn read_at_hand(&self, range: &Range<u64>) -> Option<Vec<Part>> {
        let parts = self.parts(range, |chunk| self.chunks.at_hand(chunk).ok_or(()));
        let parts = parts.ok()?;
        let bytes = parts.iter().filter(|part| matches!(part, Part::Bytes(..)));
        self.chunks.metrics.memory_hits.add(bytes.count() as u64);
        Some(parts)
    }

    /// What is in a range, however long that takes.
    pub fn read(&self, range: &Range<u64>) -> io::Result<Vec<Part>> {
        self.parts(range, |chunk| self.chunks.get(chunk, For::Read))
    }

    /// The parts of a range, which lies in the device; neighbouring zeros are one.
    fn parts<E>(
        &self,
        range: &Range<u64>,
        mut get: impl FnMut(usize) -> Result<Arc<[u8]>, E>,
    ) -> Result<Vec<Part>, E> {
        let index = &self.chunks.index;
        let range = range.start..range.end.min(index.image_len);
        let mut parts: Vec<Part> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let position = index.position_of(at);
            let (start, end) = (index.start_of(position), index.start_of(position + 1));
            let end = range.end.min(end);
            match index.at(position) {
                Some(chunk) => {
                    let within = (at - start) as usize..(end - start) as usize;
                    parts.push(Part::Bytes(get(chunk)?, within));
                }
                None => match parts.last_mut() {
                    Some(Part::Zeros(len)) => *len += end - at,
                    _ => parts.push(Part::Zeros(end - at)),
                },
            }
            at = end;
        }
        Ok(parts)
    }

    /// Whether there are zeros: runs of a range, each with its length in bytes.
    pub fn extents(&self, range: &Range<u64>) -> Vec<(u64, bool)> {
        let index = &self.chunks.index;
        let range = range.start..range.end.min(index.image_len);
        let mut extents: Vec<(u64, bool)> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let position = index.position_of(at);
            let end = range.end.min(index.start_of(position + 1));
            let is_zero = index.at(position).is_none();
            match extents.last_mut() {
                Some((len, zero)) if *zero == is_zero => *len += end - at,
                _ => extents.push((end - at, is_zero)),
            }
            at = end;
        }
        extents
    }
}

//! The image as a device: bytes by their offsets.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::chunks::{Chunks, For};
use super::flight::Bytes;
use super::trace::Trace;

/// A read-only device.
#[derive(Debug)]
pub struct Device {
    /// Where its bytes come from.
    pub chunks: Arc<Chunks>,
    /// What is asked of it.
    pub trace: Option<Trace>,
}

/// A part of what was read.
#[derive(Clone, Debug)]
pub enum Part {
    /// So many zeros.
    Zeros(u64),
    /// These bytes of a chunk.
    Bytes(Bytes, Range<usize>),
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

    /// Whether a range lies in it, and has something.
    pub fn has(&self, range: &Range<u64>) -> bool {
        range.start < range.end && range.end <= self.len()
    }

    /// That somebody wants to read a range.
    pub fn hear(&self, range: &Range<u64>) {
        if let Some(trace) = &self.trace {
            trace.note(range);
        }
    }

    /// What is in a range, if all of it is in memory.
    pub fn read_at_hand(&self, range: &Range<u64>) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        for span in self.spans(range) {
            match span.chunk {
                None => parts.push(Part::Zeros(span.len())),
                Some(chunk) => {
                    parts.push(Part::Bytes(self.chunks.at_hand(chunk)?, span.within));
                }
            }
        }
        for part in &parts {
            if let Part::Bytes(chunk, _) = part {
                self.chunks.metrics.from_memory.gave(chunk.len());
            }
        }
        Some(parts)
    }

    /// What is in a range, however long that takes. All of its chunks are fetched at once.
    pub fn read(&self, range: &Range<u64>) -> io::Result<Vec<Part>> {
        let ask = |span: Span| {
            let asked = span.chunk.map(|chunk| self.chunks.ask(chunk, For::Read));
            (asked, span.len(), span.within)
        };
        let asked: Vec<_> = self.spans(range).map(ask).collect();
        let parts = asked.into_iter().map(|(asked, len, within)| {
            Ok(match asked {
                Some(asked) => Part::Bytes(asked.wait()?, within),
                None => Part::Zeros(len),
            })
        });
        parts.collect()
    }

    /// Bytes of the chunks that a range touches, at most: what is held in memory while it is read.
    pub fn held_by(&self, range: &Range<u64>) -> u64 {
        let (_, first) = self.place(range.start);
        let (_, last) = self.place(range.end.saturating_sub(1));
        last.end.saturating_sub(first.start)
    }

    /// Whether there are zeros: runs of a range, each with its length in bytes.
    pub fn extents(&self, range: &Range<u64>) -> Vec<(u64, bool)> {
        let mut extents: Vec<(u64, bool)> = Vec::new();
        for span in self.spans(range) {
            let is_zero = span.chunk.is_none();
            match extents.last_mut() {
                Some((len, zero)) if *zero == is_zero => *len += span.len(),
                _ => extents.push((span.len(), is_zero)),
            }
        }
        extents
    }

    /// What a range, which lies in the device, is made of.
    fn spans(&self, range: &Range<u64>) -> impl Iterator<Item = Span> {
        let Range { start: mut at, end } = *range;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (position, place) = self.place(at);
            let stop = end.min(place.end);
            let within = (at - place.start) as usize..(stop - place.start) as usize;
            at = stop;
            Some(Span { chunk: self.chunks.index.at(position), within })
        })
    }

    /// The position of the image in which an offset lies, and which bytes that has.
    fn place(&self, at: u64) -> (u64, Range<u64>) {
        let index = &self.chunks.index;
        let position = index.position_of(at);
        (position, index.start_of(position)..index.start_of(position + 1))
    }
}

/// A part of a chunk, or of a hole.
struct Span {
    chunk: Option<usize>,
    within: Range<usize>,
}

impl Span {
    fn len(&self) -> u64 {
        self.within.len() as u64
    }
}

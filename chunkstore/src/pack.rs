//! A pack: many chunks in one blob, each compressed by itself, so that any of them can be had alone. What is in it stands at
//! its beginning; a store of packs without any index can be used again.
//!
//! | bytes | |
//! |---|---|
//! | 16 | [`Header`] |
//! | 48 for each chunk | [`Entry`] |
//! | | the chunks, each a zstd frame, in the order of the entries |

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::ChunkSize;
use crate::name::ChunkName;

/// How a pack begins.
const MAGIC: [u8; 8] = *b"cspack1\n";
/// A pack is closed when its chunks have so many bytes.
pub const FULL: usize = 16 << 20;
/// More than any pack's header and entries, in bytes.
pub const MOST_DIRECTORY: usize = size_of::<Header>() + MOST_CHUNKS * size_of::<Entry>();
/// No pack is larger, in bytes: a chunk may not have become smaller.
pub const MOST_PACK: u64 = (MOST_DIRECTORY + FULL + 2 * (4 << 20)) as u64;
/// The most chunks of one pack: [`FULL`] of the smallest, compressed well.
const MOST_CHUNKS: usize = 1 << 16;
/// What is fetched first of a pack that nothing is known of, in bytes.
pub const FIRST: u64 = 32 << 10;

/// How a pack begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    /// Entries.
    count: u32,
    reserved: u32,
}

/// A chunk in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Entry {
    /// Its name.
    pub name: ChunkName,
    /// Where its frame begins in the pack.
    pub offset: u32,
    /// How many bytes the frame has.
    pub stored: u32,
    /// How many bytes the chunk has.
    pub len: u32,
    /// 0.
    pub reserved: u32,
}

/// A pack in the making.
#[derive(Debug, Default)]
pub struct Builder {
    entries: Vec<Entry>,
    frames: Vec<u8>,
}

impl Builder {
    /// Adds a chunk of `len` bytes, compressed as `frame`.
    pub fn add(&mut self, name: ChunkName, len: u32, frame: &[u8]) {
        let (offset, stored) = (self.frames.len() as u32, frame.len() as u32);
        self.entries.push(Entry { name, offset, stored, len, reserved: 0 });
        self.frames.extend(frame);
    }

    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it is to be closed.
    pub fn is_full(&self) -> bool {
        self.frames.len() >= FULL || self.entries.len() >= MOST_CHUNKS
    }

    /// Closes it: its bytes, and where each chunk lies in them.
    pub fn finish(mut self) -> (Vec<u8>, Vec<Entry>) {
        let header = Header { magic: MAGIC, count: self.entries.len() as u32, reserved: 0 };
        let begin = size_of::<Header>() + size_of_val(&self.entries[..]);
        for entry in &mut self.entries {
            entry.offset += begin as u32;
        }
        let mut bytes = Vec::with_capacity(begin + self.frames.len());
        bytes.extend(header.as_bytes());
        bytes.extend(self.entries.as_bytes());
        bytes.extend(self.frames);
        (bytes, self.entries)
    }
}

/// What a pack's beginning says.
#[derive(Debug, PartialEq, Eq)]
pub enum Directory {
    /// What is in it.
    Entries(Vec<Entry>),
    /// So many bytes are needed to say it.
    Needs(u64),
}

/// Reads the entries from the beginning of a pack, which may be anything. Otherwise why it is none.
pub fn directory(bytes: &[u8]) -> Result<Directory, &'static str> {
    let (header, rest) = Header::read_from_prefix(bytes).map_err(|_| "it is cut off")?;
    if header.magic != MAGIC {
        return Err("it does not begin as one");
    }
    let count = header.count as usize;
    if count > MOST_CHUNKS {
        return Err("it has more chunks than a pack may have");
    }
    let begin = size_of::<Header>() + count * size_of::<Entry>();
    let Some(entries) = rest.get(..count * size_of::<Entry>()) else {
        return Ok(Directory::Needs(begin as u64));
    };
    let entries: Vec<Entry> = entries
        .chunks_exact(size_of::<Entry>())
        .filter_map(|bytes| Entry::read_from_bytes(bytes).ok())
        .collect();
    let mut end = begin as u64;
    for entry in &entries {
        if u64::from(entry.offset) != end {
            return Err("its chunks do not follow one another");
        }
        end += u64::from(entry.stored);
        if !is_possible(entry) {
            return Err("a chunk has a size that none can have");
        }
    }
    if end > MOST_PACK {
        return Err("it is larger than a pack may be");
    }
    Ok(Directory::Entries(entries))
}

/// Whether a chunk can be of these sizes. A frame may be a little larger than what is in it.
fn is_possible(entry: &Entry) -> bool {
    (1..=ChunkSize::MOST.bytes()).contains(&entry.len.into())
        && (1..=ChunkSize::MOST.bytes() + (64 << 10)).contains(&entry.stored.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack() -> (Vec<u8>, Vec<Entry>) {
        let mut builder = Builder::default();
        builder.add(ChunkName::of(b"a"), 4096, b"first");
        builder.add(ChunkName::of(b"b"), 4096, b"second");
        builder.finish()
    }

    #[test]
    fn what_is_put_in_is_found() {
        let (bytes, entries) = pack();
        assert_eq!(directory(&bytes), Ok(Directory::Entries(entries.clone())));
        assert_eq!(directory(&bytes[..40]), Ok(Directory::Needs(112)));
        let second = entries[1].offset as usize;
        assert_eq!(&bytes[second..second + entries[1].stored as usize], b"second");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            at in 0usize..130,
            value in any::<u8>(),
            len in 0usize..140,
        ) {
            let (mut bytes, _) = pack();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bytes.truncate(len);
            let _ = directory(&bytes);
        }
    }
}

//! An index: which chunks an image is made of, and where they lie.
//!
//! | bytes | |
//! |---|---|
//! | 56 | [`Header`] |
//! | | the image's name, then zeros up to a multiple of 8 |
//! | 32 for each pack | the pack's name: SHA-256 of all its bytes |
//! | 48 for each chunk | [`Record`]; the chunks are distinct |
//! | 4 for each position | which chunk the image has there, or [`HOLE`] |
//! | 32 | SHA-256 of all before it |
//!
//! A position is a chunk size of the image, the last one what is left of it.

use std::io;

use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::ChunkSize;
use crate::name::ChunkName;

/// How an index begins.
const MAGIC: [u8; 8] = *b"csindex\n";
/// The version of this format.
const VERSION: u32 = 1;
/// A position without a chunk: zeros.
const HOLE: u32 = u32::MAX;
/// No index is larger, in bytes: 16 TiB in chunks of 64 KiB, each of them another one.
pub const MOST: u64 = 16 << 30;
/// The longest name of an image.
const LONGEST_LABEL: usize = 200;
/// No image is larger, in bytes (off_t).
const MOST_IMAGE: u64 = 1 << 62;

/// How an index begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    /// In bytes.
    chunk_size: u32,
    /// In bytes.
    image_len: u64,
    positions: u64,
    packs: u32,
    chunks: u32,
    label_len: u32,
    reserved: [u32; 3],
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    /// Its name.
    pub name: ChunkName,
    /// Its pack, as a number of the index's packs.
    pub pack: u32,
    /// As [`crate::pack::Entry::offset`].
    pub offset: u32,
    /// As [`crate::pack::Entry::stored`].
    pub stored: u32,
    /// As [`crate::pack::Entry::len`].
    pub len: u32,
}

/// An image's chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The image's name.
    pub label: String,
    /// The size of its chunks.
    pub chunk_size: ChunkSize,
    /// Its size, in bytes.
    pub image_len: u64,
    /// The packs that its chunks lie in.
    pub packs: Vec<[u8; 32]>,
    /// Its chunks, each once.
    pub chunks: Vec<Record>,
    /// By position, the chunk there; none are zeros.
    positions: Vec<u32>,
}

/// Why bytes are no index.
pub type Damage = &'static str;

impl Index {
    /// Of an image without any chunk yet.
    pub fn new(label: &str, chunk_size: ChunkSize, image_len: u64) -> io::Result<Self> {
        let positions = usize::try_from(image_len.div_ceil(chunk_size.bytes()));
        let positions = positions.map_err(|_| io::ErrorKind::FileTooLarge)?;
        Ok(Self {
            label: label.into(),
            chunk_size,
            image_len,
            packs: Vec::new(),
            chunks: Vec::new(),
            positions: vec![HOLE; positions],
        })
    }

    /// Positions of the image.
    pub fn len(&self) -> u64 {
        self.positions.len() as u64
    }

    /// Whether the image has no bytes.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The number of the chunk at a position; none where there are zeros.
    pub fn at(&self, position: u64) -> Option<usize> {
        let chunk = *self.positions.get(usize::try_from(position).ok()?)?;
        (chunk != HOLE).then_some(chunk as usize)
    }

    /// Says which chunk is at a position.
    pub fn set(&mut self, position: u64, chunk: usize) {
        self.positions[position as usize] = chunk as u32;
    }

    /// The positions that have a chunk, in the order of the image: the position and the chunk's number.
    pub fn filled(&self) -> impl Iterator<Item = (u64, usize)> {
        let all = self.positions.iter().enumerate();
        all.filter(|(_, chunk)| **chunk != HOLE).map(|(at, chunk)| (at as u64, *chunk as usize))
    }

    /// How many bytes the image has at a position.
    pub fn len_at(&self, position: u64) -> u64 {
        let start = position * self.chunk_size.bytes();
        self.chunk_size.bytes().min(self.image_len.saturating_sub(start))
    }

    /// Whether it is of the same image in chunks of the same size, wherever these lie.
    pub fn is_of_same_image(&self, other: &Self) -> bool {
        let names = |index: &'_ Self| -> Vec<Option<ChunkName>> {
            let number = |position| index.at(position).map(|number| index.chunks[number].name);
            (0..index.len()).map(number).collect()
        };
        self.chunk_size == other.chunk_size
            && self.image_len == other.image_len
            && names(self) == names(other)
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            chunk_size: self.chunk_size.bytes() as u32,
            image_len: self.image_len,
            positions: self.positions.len() as u64,
            packs: self.packs.len() as u32,
            chunks: self.chunks.len() as u32,
            label_len: self.label.len() as u32,
            reserved: [0; 3],
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(self.label.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(self.packs.as_bytes());
        bytes.extend(self.chunks.as_bytes());
        bytes.extend(self.positions.as_bytes());
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        bytes
    }

    /// Reads one, which may be anything.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_| "it is cut off")?;
        if header.magic != MAGIC {
            return Err("it does not begin as one");
        }
        if header.version != VERSION {
            return Err("it is of a version that this chunkstore does not know");
        }
        let (contents, hash) = bytes.split_last_chunk::<32>().ok_or("it is cut off")?;
        if Sha256::digest(contents)[..] != hash[..] {
            return Err("its hash is not that of its contents");
        }
        let chunk_size =
            ChunkSize::new(header.chunk_size.into()).ok_or("its chunk size is none")?;
        let contents = contents.get(size_of::<Header>()..).ok_or("it is cut off")?;
        let mut rest = Rest(contents);
        let label_len = header.label_len as usize;
        let label =
            rest.take(label_len.next_multiple_of(8), 1).and_then(|text| text.get(..label_len));
        let label = label.and_then(|text| str::from_utf8(text).ok()).filter(|text| is_label(text));
        let index = Self {
            label: label.ok_or("the image's name is none")?.into(),
            chunk_size,
            image_len: header.image_len,
            packs: rest.records(header.packs.into()).ok_or("it is cut off")?,
            chunks: rest.records(header.chunks.into()).ok_or("it is cut off")?,
            positions: rest.records(header.positions).ok_or("it is cut off")?,
        };
        if !rest.0.is_empty() {
            return Err("it has more than belongs to it");
        }
        index.check()?;
        Ok(index)
    }

    /// Whether what it says is possible.
    fn check(&self) -> Result<(), Damage> {
        let size = self.chunk_size.bytes();
        if self.image_len > MOST_IMAGE || self.len() != self.image_len.div_ceil(size) {
            return Err("the image's size is not that of its chunks");
        }
        for chunk in &self.chunks {
            let end = u64::from(chunk.offset) + u64::from(chunk.stored);
            if chunk.pack as usize >= self.packs.len() || end > crate::pack::MOST_PACK {
                return Err("a chunk lies in no pack");
            }
            if chunk.stored == 0 || chunk.len == 0 || u64::from(chunk.len) > size {
                return Err("a chunk has a size that none can have");
            }
        }
        for (position, chunk) in self.filled() {
            let chunk = self.chunks.get(chunk).ok_or("a position has a chunk that is not there")?;
            if u64::from(chunk.len) != self.len_at(position) {
                return Err("a chunk is not as long as the image is there");
            }
        }
        Ok(())
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count.checked_mul(size)?)?;
        self.0 = rest;
        Some(taken)
    }

    /// So many records; none if there are not as many.
    fn records<T: FromBytes>(&mut self, count: u64) -> Option<Vec<T>> {
        let bytes = self.take(usize::try_from(count).ok()?, size_of::<T>())?;
        bytes.chunks_exact(size_of::<T>()).map(|bytes| T::read_from_bytes(bytes).ok()).collect()
    }
}

/// Whether an image can be called so: a name that is plain as a word of a command and as a file's.
pub fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(is_plain)
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index() -> Index {
        let mut index = Index::new("image", ChunkSize::LEAST, 3 * 4096 + 5).unwrap();
        index.packs = vec![[7; 32]];
        let record = |name: &[u8], offset, len| Record {
            name: ChunkName::of(name),
            pack: 0,
            offset,
            stored: 9,
            len,
        };
        index.chunks = vec![record(b"a", 100, 4096), record(b"b", 109, 5)];
        index.set(0, 0);
        index.set(2, 0);
        index.set(3, 1);
        index
    }

    /// With the hash that its contents have.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let end = bytes.len() - 32;
        let hash = Sha256::digest(&bytes[..end]);
        bytes[end..].copy_from_slice(&hash);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let index = index();
        assert_eq!(Index::parse(&index.to_bytes()), Ok(index.clone()));
        assert_eq!(index.filled().collect::<Vec<_>>(), [(0, 0), (2, 0), (3, 1)]);
        assert_eq!((index.at(1), index.at(4), index.len_at(3)), (None, None, 5));
        let empty = Index::new("none", ChunkSize::MOST, 0).unwrap();
        assert_eq!(Index::parse(&empty.to_bytes()), Ok(empty));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |change: &dyn Fn(&mut Index)| {
            let mut index = index();
            change(&mut index);
            Index::parse(&index.to_bytes()).unwrap_err()
        };
        assert!(refused(&|index| index.image_len = 1 << 62).contains("size"));
        assert!(refused(&|index| index.image_len = 4096).contains("size"));
        assert!(refused(&|index| index.chunks[1].pack = 1).contains("no pack"));
        assert!(refused(&|index| index.chunks[1].len = 6).contains("not as long"));
        assert!(refused(&|index| index.chunks[0].len = 8192).contains("size"));
        assert!(refused(&|index| index.set(1, 2)).contains("not there"));
        assert!(refused(&|index| index.label = "../x".into()).contains("name"));
        let mut bytes = index().to_bytes();
        // 2^40 positions.
        bytes[24..32].copy_from_slice(&(1u64 << 40).to_le_bytes());
        assert_eq!(Index::parse(&sealed(bytes)), Err("it is cut off"));
        let mut bytes = index().to_bytes();
        bytes[8] = 2;
        assert!(Index::parse(&bytes).unwrap_err().contains("version"));
    }

    #[test]
    fn every_bit_counts() {
        let mut bytes = index().to_bytes();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Index::parse(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    proptest! {
        #[test]
        fn forged_ones_are_read_without_a_panic(
            at in 0usize..300,
            value in proptest::collection::vec(any::<u8>(), 1..9),
            len in 60usize..400,
        ) {
            let mut bytes = index().to_bytes();
            for (byte, value) in bytes.iter_mut().skip(at).zip(value) {
                *byte = value;
            }
            bytes.resize(len, 0);
            let _ = Index::parse(&sealed(bytes));
        }
    }
}

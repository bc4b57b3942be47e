//! An index: which chunks an image is made of, and where they lie.
//!
//! | bytes | |
//! |---|---|
//! | 56 | [`Header`] |
//! | | the image's name, then zeros up to a multiple of 8 |
//! | 32 for each pack | the pack's name: SHA-256 of all its bytes |
//! | 48 for each chunk | [`Record`]; the chunks are distinct |
//! | 4 for each position | which chunk the image has there, or [`HOLE`] |
//! | 8 for each position that is a hole | its length; only where chunks differ in size |
//! | 32 | SHA-256 of all before it |
//!
//! Where all chunks are of one size, a position is so much of the image, the last one what is left of it. Where contents say
//! where chunks end, a position is a chunk, or all zeros between two of them.

use std::io;

use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::chunking::{Bounds, Chunking};
use crate::name::ChunkName;
use crate::size::ChunkSize;

/// How an index begins.
const MAGIC: [u8; 8] = *b"csindex\n";
/// The version of this format.
const VERSION: u32 = 2;
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
    /// In bytes; 0 if chunks differ in size.
    chunk_size: u32,
    /// In bytes.
    image_len: u64,
    positions: u64,
    packs: u32,
    chunks: u32,
    label_len: u32,
    /// The least, average and most bytes of a chunk if they differ in size; otherwise 0.
    bounds: [u32; 3],
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
    /// Where it was cut.
    pub chunking: Chunking,
    /// Its size, in bytes.
    pub image_len: u64,
    /// The packs that its chunks lie in.
    pub packs: Vec<[u8; 32]>,
    /// Its chunks, each once.
    pub chunks: Vec<Record>,
    /// By position, the chunk there; none are zeros.
    positions: Vec<u32>,
    /// Where each position begins, and where the last one ends; empty if all are of one size.
    starts: Vec<u64>,
}

/// Why bytes are no index.
pub type Damage = &'static str;

impl Index {
    /// Of an image without any chunk yet.
    pub fn new(label: &str, chunking: Chunking, image_len: u64) -> io::Result<Self> {
        let (positions, starts) = match chunking {
            Chunking::Fixed(size) => {
                let positions = usize::try_from(image_len.div_ceil(size.bytes()));
                let positions = positions.map_err(|_| io::ErrorKind::FileTooLarge)?;
                (vec![HOLE; positions], Vec::new())
            }
            Chunking::ContentDefined(_) => (Vec::new(), vec![0]),
        };
        let (packs, chunks) = Default::default();
        Ok(Self { label: label.into(), chunking, image_len, packs, chunks, positions, starts })
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

    /// Says which of its chunks begins at `start`: where the one before it ends, or behind it.
    pub fn place(&mut self, start: u64, chunk: usize) {
        match self.chunking {
            Chunking::Fixed(size) => {
                self.positions[(start / size.bytes()) as usize] = chunk as u32;
            }
            Chunking::ContentDefined(_) => {
                self.zeros_to(start);
                self.positions.push(chunk as u32);
                self.starts.push(start + u64::from(self.chunks[chunk].len));
            }
        }
    }

    /// Says that there is no other chunk.
    pub fn close(&mut self) {
        if !self.starts.is_empty() {
            self.zeros_to(self.image_len);
        }
    }

    /// Zeros from the last position's end on.
    fn zeros_to(&mut self, end: u64) {
        if self.starts.last().is_some_and(|start| *start < end) {
            self.positions.push(HOLE);
            self.starts.push(end);
        }
    }

    /// The positions that have a chunk, in the order of the image: the position and the chunk's number.
    pub fn filled(&self) -> impl Iterator<Item = (u64, usize)> {
        let all = self.positions.iter().enumerate();
        all.filter(|(_, chunk)| **chunk != HOLE).map(|(at, chunk)| (at as u64, *chunk as usize))
    }

    /// Where a position begins in the image, in bytes.
    pub fn start_of(&self, position: u64) -> u64 {
        match self.chunking {
            Chunking::Fixed(size) => position.saturating_mul(size.bytes()).min(self.image_len),
            Chunking::ContentDefined(_) => {
                let at = usize::try_from(position).ok();
                at.and_then(|at| self.starts.get(at)).copied().unwrap_or(self.image_len)
            }
        }
    }

    /// How many bytes the image has at a position.
    pub fn len_at(&self, position: u64) -> u64 {
        self.start_of(position.saturating_add(1)) - self.start_of(position)
    }

    /// The position that the image's byte at `offset` is in; behind its end there is none, and what is said is no position.
    pub fn position_of(&self, offset: u64) -> u64 {
        match self.chunking {
            Chunking::Fixed(size) => offset / size.bytes(),
            Chunking::ContentDefined(_) => {
                self.starts.partition_point(|start| *start <= offset).saturating_sub(1) as u64
            }
        }
    }

    /// Whether it is of the same image in the same chunks, wherever these lie.
    pub fn is_of_same_image(&self, other: &Self) -> bool {
        let names = |index: &'_ Self| -> Vec<Option<ChunkName>> {
            let number = |position| index.at(position).map(|number| index.chunks[number].name);
            (0..index.len()).map(number).collect()
        };
        self.chunking == other.chunking
            && self.image_len == other.image_len
            && self.starts == other.starts
            && names(self) == names(other)
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (chunk_size, bounds) = match self.chunking {
            Chunking::Fixed(size) => (size.bytes() as u32, [0; 3]),
            Chunking::ContentDefined(bounds) => {
                (0, [bounds.least(), bounds.average(), bounds.most()])
            }
        };
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            chunk_size,
            image_len: self.image_len,
            positions: self.positions.len() as u64,
            packs: self.packs.len() as u32,
            chunks: self.chunks.len() as u32,
            label_len: self.label.len() as u32,
            bounds,
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(self.label.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(self.packs.as_bytes());
        bytes.extend(self.chunks.as_bytes());
        bytes.extend(self.positions.as_bytes());
        if !self.starts.is_empty() {
            let holes = (0..self.len()).filter(|position| self.at(*position).is_none());
            bytes.extend(holes.flat_map(|position| self.len_at(position).to_le_bytes()));
        }
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
        if header.version < VERSION {
            return Err("an older chunkstore wrote it: cut the image again with --replace");
        }
        if header.version > VERSION {
            return Err("it is of a version that this chunkstore does not know: take a newer one");
        }
        let (contents, hash) = bytes.split_last_chunk::<32>().ok_or("it is cut off")?;
        if Sha256::digest(contents)[..] != hash[..] {
            return Err("its hash is not that of its contents");
        }
        let chunking = header.chunking().ok_or("its chunk size is none")?;
        let contents = contents.get(size_of::<Header>()..).ok_or("it is cut off")?;
        let mut rest = Rest(contents);
        let label_len = header.label_len as usize;
        let label =
            rest.take(label_len.next_multiple_of(8), 1).and_then(|text| text.get(..label_len));
        let label = label.and_then(|text| str::from_utf8(text).ok()).filter(|text| is_label(text));
        let mut index = Self {
            label: label.ok_or("the image's name is none")?.into(),
            chunking,
            image_len: header.image_len,
            packs: rest.records(header.packs.into()).ok_or("it is cut off")?,
            chunks: rest.records(header.chunks.into()).ok_or("it is cut off")?,
            positions: rest.records(header.positions).ok_or("it is cut off")?,
            starts: Vec::new(),
        };
        if let Chunking::ContentDefined(_) = chunking {
            let holes = index.positions.iter().filter(|chunk| **chunk == HOLE).count();
            let holes: Vec<u64> = rest.records(holes as u64).ok_or("it is cut off")?;
            index.starts =
                index.starts(holes).ok_or("the image's size is not that of its chunks")?;
        }
        if !rest.0.is_empty() {
            return Err("it has more than belongs to it");
        }
        index.check()?;
        Ok(index)
    }

    /// Where each position begins, if holes are of these lengths; `None` where that cannot be.
    fn starts(&self, holes: Vec<u64>) -> Option<Vec<u64>> {
        let mut holes = holes.into_iter().filter(|len| *len > 0);
        let mut starts = vec![0u64];
        let mut end = 0u64;
        for chunk in &self.positions {
            let len = match *chunk {
                HOLE => holes.next()?,
                chunk => self.chunks.get(chunk as usize)?.len.into(),
            };
            end = end.checked_add(len)?;
            starts.push(end);
        }
        Some(starts).filter(|_| end == self.image_len)
    }

    /// Whether what it says is possible.
    fn check(&self) -> Result<(), Damage> {
        let is_whole = match self.chunking {
            Chunking::Fixed(size) => self.len() == self.image_len.div_ceil(size.bytes()),
            Chunking::ContentDefined(_) => self.starts.last() == Some(&self.image_len),
        };
        if self.image_len > MOST_IMAGE || !is_whole {
            return Err("the image's size is not that of its chunks");
        }
        for chunk in &self.chunks {
            let end = u64::from(chunk.offset) + u64::from(chunk.stored);
            if chunk.pack as usize >= self.packs.len() || end > crate::pack::MOST_PACK {
                return Err("a chunk lies in no pack");
            }
            if chunk.stored == 0 || chunk.len == 0 || u64::from(chunk.len) > self.chunking.most() {
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

impl Header {
    fn chunking(&self) -> Option<Chunking> {
        let [least, average, most] = self.bounds.map(u64::from);
        match self.chunk_size {
            0 => Bounds::new(least, average, most).map(Chunking::ContentDefined),
            size if self.bounds == [0; 3] => ChunkSize::new(size.into()).map(Chunking::Fixed),
            _ => None,
        }
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

    const FIXED: Chunking = Chunking::Fixed(ChunkSize::LEAST);

    fn content_defined() -> Chunking {
        Chunking::ContentDefined(Bounds::new(1024, 4096, 8192).unwrap())
    }

    /// An image of two chunks and some zeros: of one size, or not.
    fn index(chunking: Chunking) -> Index {
        let mut index = Index::new("image", chunking, 3 * 4096 + 5).unwrap();
        index.packs = vec![[7; 32]];
        let record = |name: &[u8], offset, len| Record {
            name: ChunkName::of(name),
            pack: 0,
            offset,
            stored: 9,
            len,
        };
        let long = if chunking == FIXED { 4096 } else { 4000 };
        index.chunks = vec![record(b"a", 100, long), record(b"b", 109, 5)];
        index.place(0, 0);
        index.place(2 * 4096, 0);
        index.place(3 * 4096, 1);
        index.close();
        index
    }

    /// With the hash that its contents have.
    fn with_hash(mut bytes: Vec<u8>) -> Vec<u8> {
        let end = bytes.len() - 32;
        let hash = Sha256::digest(&bytes[..end]);
        bytes[end..].copy_from_slice(&hash);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let index = index(FIXED);
        assert_eq!(Index::parse(&index.to_bytes()), Ok(index.clone()));
        assert_eq!(index.filled().collect::<Vec<_>>(), [(0, 0), (2, 0), (3, 1)]);
        assert_eq!((index.at(1), index.at(4), index.len_at(3)), (None, None, 5));
        for chunking in [Chunking::Fixed(ChunkSize::MOST), content_defined()] {
            let mut empty = Index::new("none", chunking, 0).unwrap();
            empty.close();
            assert_eq!(Index::parse(&empty.to_bytes()), Ok(empty));
        }
    }

    #[test]
    fn chunks_of_all_lengths() {
        let index = index(content_defined());
        assert_eq!(Index::parse(&index.to_bytes()), Ok(index.clone()));
        assert_eq!(index.filled().collect::<Vec<_>>(), [(0, 0), (2, 0), (4, 1)]);
        let starts: Vec<u64> = (0..=5).map(|position| index.start_of(position)).collect();
        assert_eq!(starts, [0, 4000, 8192, 12192, 12288, 12293]);
        assert_eq!((index.len_at(1), index.len_at(4), index.len_at(5)), (4192, 5, 0));
        for (offset, position) in
            [(0, 0), (3999, 0), (4000, 1), (8191, 1), (8192, 2), (12292, 4), (12293, 5)]
        {
            assert_eq!(index.position_of(offset), position, "{offset}");
        }
        assert_eq!(index.at(index.position_of(1 << 40)), None);
        assert!(index.is_of_same_image(&index.clone()));
        let mut other = Index::new("image", content_defined(), index.image_len).unwrap();
        other.chunks = index.chunks.clone();
        other.place(0, 0);
        other.close();
        assert!(!index.is_of_same_image(&other));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for chunking in [FIXED, content_defined()] {
            let refused = |change: &dyn Fn(&mut Index)| {
                let mut index = index(chunking);
                change(&mut index);
                Index::parse(&index.to_bytes()).unwrap_err()
            };
            assert!(refused(&|index| index.image_len = 1 << 62).contains("size"));
            assert!(refused(&|index| index.image_len = 4096).contains("size"));
            assert!(refused(&|index| index.chunks[1].pack = 1).contains("no pack"));
            assert!(refused(&|index| index.chunks[1].len = 0).contains("size"));
            assert!(refused(&|index| index.chunks[0].len = 16384).contains("size"));
            assert!(refused(&|index| index.label = "../x".into()).contains("name"));
            refused(&|index| index.positions[1] = 2);
            refused(&|index| index.chunks[1].len = 6);
            let mut bytes = index(chunking).to_bytes();
            // 2^40 positions.
            bytes[24..32].copy_from_slice(&(1u64 << 40).to_le_bytes());
            assert_eq!(Index::parse(&with_hash(bytes)), Err("it is cut off"));
            for (version, words) in [(1, "older"), (3, "newer")] {
                let mut bytes = index(chunking).to_bytes();
                bytes[8] = version;
                assert!(Index::parse(&bytes).unwrap_err().contains(words));
            }
        }
        // Holes whose lengths wrap around, and one of no length.
        let index = index(content_defined());
        for lens in [[u64::MAX - 4000, 4193], [0, 4288]] {
            let mut bytes = index.to_bytes();
            let end = bytes.len() - 32;
            bytes[end - 16..end].copy_from_slice(lens.as_bytes());
            assert!(Index::parse(&with_hash(bytes)).unwrap_err().contains("size"));
        }
    }

    #[test]
    fn every_bit_counts() {
        for chunking in [FIXED, content_defined()] {
            let mut bytes = index(chunking).to_bytes();
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Index::parse(&bytes).is_err(), "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    proptest! {
        #[test]
        fn forged_ones_are_read_without_a_panic(
            is_fixed in any::<bool>(),
            at in 0usize..300,
            value in proptest::collection::vec(any::<u8>(), 1..9),
            len in 60usize..400,
        ) {
            let chunking = if is_fixed { FIXED } else { content_defined() };
            let mut bytes = index(chunking).to_bytes();
            for (byte, value) in bytes.iter_mut().skip(at).zip(value) {
                *byte = value;
            }
            bytes.resize(len, 0);
            if let Ok(index) = Index::parse(&with_hash(bytes)) {
                let again = Index::parse(&index.to_bytes());
                prop_assert_eq!(again, Ok(index));
            }
        }

        #[test]
        fn every_byte_is_in_one_position(
            lens in proptest::collection::vec((1u32..8192, any::<bool>()), 0..40),
            offset in 0u64..400_000,
        ) {
            let end = lens.iter().map(|(len, _)| u64::from(*len)).sum();
            let mut index = Index::new("image", content_defined(), end).unwrap();
            index.packs = vec![[7; 32]];
            let mut at = 0;
            for (len, is_hole) in lens {
                if !is_hole {
                    let number = index.chunks.len();
                    let name = ChunkName::of(&number.to_le_bytes());
                    index.chunks.push(Record { name, pack: 0, offset: 100, stored: 9, len });
                    index.place(at, number);
                }
                at += u64::from(len);
            }
            index.close();
            let again = Index::parse(&index.to_bytes());
            prop_assert_eq!(again, Ok(index.clone()));
            let position = index.position_of(offset);
            if offset < end {
                prop_assert!(index.start_of(position) <= offset);
                prop_assert!(offset < index.start_of(position + 1));
            } else {
                prop_assert_eq!(index.at(position), None);
            }
        }
    }
}

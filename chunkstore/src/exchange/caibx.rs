//! The index of an image as casync (`src/caformat.h`) and desync (`format.go`) have it, little-endian.
//!
//! | bytes | |
//! |---|---|
//! | 48 | [`Header`]: an index, and of which kind |
//! | 16 | a table of unknown length begins |
//! | 40 for each chunk | where it ends in the image, and its id |
//! | 40 | [`Tail`] |

use std::fmt;
use std::str::FromStr;

use sha2::{Sha256, Sha512_256};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `CA_FORMAT_INDEX`.
const INDEX: u64 = 0x9682_4d9c_7b12_9ff9;
/// `CA_FORMAT_TABLE`.
const TABLE: u64 = 0xe75b_9e11_2f17_417d;
/// `CA_FORMAT_TABLE_TAIL_MARKER`.
const TAIL: u64 = 0x4b4f_050e_5549_ecd1;
/// `CA_FORMAT_SHA512_256`: otherwise ids are by SHA-256.
const SHA512_256: u64 = 0x2000_0000_0000_0000;
/// `CA_FORMAT_EXCLUDE_NODUMP` and `CA_FORMAT_EXCLUDE_FILE`, which casync sets for images as well.
const EXCLUDE: u64 = 0x9000_0000_0000_0000;
/// Flags beside these say what is kept of the files of a directory: then it is not an image that was cut.
const OF_IMAGES: u64 = 0xf000_0000_0000_0000;
/// `CA_CHUNK_SIZE_LIMIT_MAX`, in bytes.
const LARGEST: u64 = 128 << 20;
/// No index is larger, in bytes: about 6 TiB in chunks of 64 KiB.
pub const MOST: u64 = 4 << 30;

/// By what chunks are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// SHA-512/256, what casync and desync take if nothing is said.
    #[default]
    Sha512_256,
    /// SHA-256.
    Sha256,
}

/// A chunk's name.
pub type Id = [u8; 32];

impl Digest {
    /// The name of these bytes.
    pub fn of(self, bytes: &[u8]) -> Id {
        match self {
            Self::Sha512_256 => <Sha512_256 as sha2::Digest>::digest(bytes).into(),
            Self::Sha256 => <Sha256 as sha2::Digest>::digest(bytes).into(),
        }
    }
}

/// As casync's and desync's option `--digest` has it.
impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sha512-256" => Ok(Self::Sha512_256),
            "sha256" => Ok(Self::Sha256),
            _ => Err("it is to be sha512-256 or sha256".into()),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Sha512_256 => "sha512-256",
            Self::Sha256 => "sha256",
        })
    }
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    /// Of the index' part: 48.
    size: u64,
    kind: u64,
    flags: u64,
    least: u64,
    average: u64,
    most: u64,
    /// Unknown, as the table is written while the image is read: [`u64::MAX`].
    table_size: u64,
    table_kind: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Tail {
    zeros: [u64; 2],
    /// Of the index' header: 48.
    index_size: u64,
    /// Of the table with its header and this tail, in bytes.
    table_size: u64,
    marker: u64,
}

/// Bytes of the index' part of the header.
const INDEX_SIZE: u64 = 48;

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Item {
    /// Where it ends in the image.
    pub end: u64,
    /// Its name.
    pub id: Id,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caibx {
    /// By what its chunks are named.
    pub digest: Digest,
    /// The least, average and most bytes of a chunk, as whoever made it was told.
    pub bounds: [u64; 3],
    /// The chunks in the order of the image.
    pub items: Vec<Item>,
}

impl Caibx {
    /// The image's size, in bytes.
    pub fn image_len(&self) -> u64 {
        self.items.last().map_or(0, |item| item.end)
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let digest = if self.digest == Digest::Sha512_256 { SHA512_256 } else { 0 };
        let [least, average, most] = self.bounds;
        let header = Header {
            size: INDEX_SIZE,
            kind: INDEX,
            flags: EXCLUDE | digest,
            least,
            average,
            most,
            table_size: u64::MAX,
            table_kind: TABLE,
        };
        let items = self.items.as_bytes();
        let begin = size_of::<Header>() as u64 - INDEX_SIZE;
        let table_size = begin + (items.len() + size_of::<Tail>()) as u64;
        let tail = Tail { zeros: [0; 2], index_size: INDEX_SIZE, table_size, marker: TAIL };
        [header.as_bytes(), items, tail.as_bytes()].concat()
    }

    /// Reads one, which may be anything. Otherwise why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (header, rest) = Header::read_from_prefix(bytes).map_err(|_| "it is cut off")?;
        let begins =
            [(header.size, INDEX_SIZE), (header.kind, INDEX), (header.table_size, u64::MAX)];
        if begins.iter().any(|(is, should)| is != should) || header.table_kind != TABLE {
            return Err("it does not begin as one");
        }
        if header.flags & !OF_IMAGES != 0 {
            return Err("it is of a directory (.caidx)");
        }
        let (rest, tail) = Tail::read_from_suffix(rest).map_err(|_| "it is cut off")?;
        let size = bytes.len() as u64 - INDEX_SIZE;
        if tail.zeros != [0; 2] || tail.marker != TAIL || tail.index_size != INDEX_SIZE {
            return Err("it does not end as one");
        }
        if tail.table_size != size || rest.len() % size_of::<Item>() != 0 {
            return Err("it is not as long as it says");
        }
        let digest =
            if header.flags & SHA512_256 != 0 { Digest::Sha512_256 } else { Digest::Sha256 };
        let bounds = [header.least, header.average, header.most];
        if !bounds.is_sorted() || bounds[0] == 0 || bounds[2] > LARGEST {
            return Err("its chunk sizes are none");
        }
        let items = rest.chunks_exact(size_of::<Item>());
        let items: Vec<Item> =
            items.filter_map(|bytes| Item::read_from_bytes(bytes).ok()).collect();
        let mut end = 0;
        for item in &items {
            if item.end <= end || item.end - end > header.most {
                return Err("a chunk has a size that none can have");
            }
            end = item.end;
        }
        Ok(Self { digest, bounds, items })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caibx() -> Caibx {
        let items = vec![Item { end: 65536, id: [1; 32] }, Item { end: 70000, id: [2; 32] }];
        Caibx { digest: Digest::Sha512_256, bounds: [16384, 65536, 262_144], items }
    }

    #[test]
    fn what_is_written_is_read() {
        for digest in [Digest::Sha512_256, Digest::Sha256] {
            let caibx = Caibx { digest, ..caibx() };
            assert_eq!(Caibx::parse(&caibx.to_bytes()), Ok(caibx.clone()));
            assert_eq!(caibx.image_len(), 70000);
            assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }

    /// What casync writes of an empty image.
    #[test]
    fn an_empty_image() {
        let bytes: Vec<u8> = [
            [0x30, INDEX, SHA512_256 | EXCLUDE, 0x4000, 0x1_0000, 0x4_0000, u64::MAX, TABLE],
            [0, 0, 0x30, 0x38, TAIL, 0, 0, 0],
        ]
        .concat()[..13]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let empty = Caibx { items: Vec::new(), ..caibx() };
        assert_eq!(empty.to_bytes(), bytes);
        assert_eq!(Caibx::parse(&bytes), Ok(empty));
    }

    #[test]
    fn ids() {
        let hex = |id: Id| crate::ChunkName(id).to_string();
        assert_eq!(
            hex(Digest::Sha512_256.of(b"abc")),
            "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"
        );
        assert!(hex(Digest::Sha256.of(b"abc")).starts_with("ba7816bf"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |at: usize, word: u64| {
            let mut bytes = caibx().to_bytes();
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            Caibx::parse(&bytes).unwrap_err()
        };
        let end = caibx().to_bytes().len();
        assert!(refused(0, 49).contains("begin"));
        assert!(refused(16, SHA512_256 | 0x22).contains("directory"));
        assert!(refused(24, 0).contains("sizes"));
        assert!(refused(24, 65537).contains("sizes"));
        assert!(refused(40, 1 << 40).contains("sizes"));
        assert!(refused(48, 1).contains("begin"));
        assert!(refused(64, 70000).contains("a size"));
        assert!(refused(64, 1 << 20).contains("a size"));
        assert!(refused(104, u64::MAX).contains("a size"));
        assert!(refused(end - 8, 0).contains("end"));
        assert!(refused(end - 16, 0).contains("long"));
        let bytes = caibx().to_bytes();
        for len in 0..bytes.len() {
            assert!(Caibx::parse(&bytes[..len]).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            at in 0usize..200,
            value in any::<u64>(),
            more in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut bytes = caibx().to_bytes();
            for (byte, value) in bytes.iter_mut().skip(at).zip(value.to_le_bytes()) {
                *byte = value;
            }
            let _ = Caibx::parse(&bytes);
            bytes.extend(more);
            let _ = Caibx::parse(&bytes);
        }
    }
}

//! How much of files is unique when they are cut into chunks, as stores do that keep equal chunks once:
//! the paper's Table 3. A chunk of zeros is not stored. The last chunk of a file is filled
//! up with zeros, as on a disk.
//!
//! Each byte is hashed once, in chunks of the smallest size; a larger chunk is told by the hashes
//! of the smaller ones in it. Of every different chunk 16 bytes are remembered: 6 to 13 MiB of memory
//! for 1 GiB of unique bytes.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde::Serialize;
use statify_elf::holes;
use statify_files::contents;

use crate::error::{Error, Result};

/// Sizes of chunks, each four times the one before.
pub const SIZES: [u64; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// How many of a size are in one of the next.
const FANOUT: usize = 4;
/// What is read at a time.
const BLOCK: usize = SIZES[SIZES.len() - 1] as usize;
/// Blocks that one thread takes at a time.
const STRETCH: u64 = 64;
/// Parts of a set, so that threads seldom wait for each other and growing one part takes little memory.
const SHARDS: usize = 64;
/// Bytes of a hash that are kept: 2^40 different chunks have no two alike by chance.
const HASH: usize = 16;

/// A chunk's hash, or `None` of zeros only.
type Id = Option<[u8; HASH]>;

/// What was counted for one size of chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unique {
    /// Chunks that are not all zeros.
    pub chunks: u64,
    /// Different ones among them.
    pub unique_chunks: u64,
    /// Bytes of these.
    pub unique_bytes: u64,
    /// Chunks of zeros, which nobody stores.
    pub zero_chunks: u64,
}

/// A chunk of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    len: u32,
    id: Id,
}

/// Cuts a block, which is one of the largest chunks, into chunks of each size.
fn cut(block: &[u8]) -> [Vec<Chunk>; SIZES.len()] {
    let smallest = block.chunks(SIZES[0] as usize).map(|bytes| {
        let id = (!is_zero(bytes)).then(|| {
            let mut page = [0; SIZES[0] as usize];
            page[..bytes.len()].copy_from_slice(bytes);
            short(blake3::hash(&page))
        });
        Chunk { len: bytes.len() as u32, id }
    });
    let mut levels = [smallest.collect(), Vec::new(), Vec::new(), Vec::new()];
    for level in 1..levels.len() {
        levels[level] = levels[level - 1].chunks(FANOUT).map(join).collect();
    }
    levels
}

fn join(parts: &[Chunk]) -> Chunk {
    // Behind the last that is not zero there are zeros, or nothing.
    let filled = parts.iter().rposition(|part| part.id.is_some()).map(|last| &parts[..=last]);
    let id = filled.map(|filled| {
        let mut hash = blake3::Hasher::new();
        for part in filled {
            hash.update(&part.id.unwrap_or_default());
        }
        short(hash.finalize())
    });
    Chunk { len: parts.iter().map(|part| part.len).sum(), id }
}

fn short(hash: blake3::Hash) -> [u8; HASH] {
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes == &[0; SIZES[0] as usize][..bytes.len()]
}

/// Chunks that were seen, of one size.
struct Seen([Mutex<HashSet<[u8; HASH]>>; SHARDS]);

impl Seen {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    fn is_new(&self, id: [u8; HASH]) -> bool {
        let shard = &self.0[usize::from(id[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }
}

/// What came of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// For each of [`SIZES`].
    pub sizes: [Unique; SIZES.len()],
    /// Files that could not be read, which are left out.
    pub unread: u64,
}

impl Counted {
    fn add(mut self, other: Self) -> Self {
        for (sum, more) in self.sizes.iter_mut().zip(other.sizes) {
            sum.chunks += more.chunks;
            sum.unique_chunks += more.unique_chunks;
            sum.unique_bytes += more.unique_bytes;
            sum.zero_chunks += more.zero_chunks;
        }
        self.unread += other.unread;
        self
    }

    /// Takes in a block.
    fn take(&mut self, block: &[u8], seen: &[Seen; SIZES.len()]) {
        for (level, chunks) in cut(block).into_iter().enumerate() {
            let sum = &mut self.sizes[level];
            for chunk in chunks {
                let Some(id) = chunk.id else {
                    sum.zero_chunks += 1;
                    continue;
                };
                sum.chunks += 1;
                if seen[level].is_new(id) {
                    sum.unique_chunks += 1;
                    sum.unique_bytes += u64::from(chunk.len);
                }
            }
        }
    }
}

/// Counts the chunks of all `files`. What cannot be opened is counted as such.
pub(crate) fn of_files(files: &[PathBuf]) -> Result<Counted> {
    let seen = std::array::from_fn(|_| Seen::new());
    let count = |path: &PathBuf| match contents::open(path) {
        Ok(file) => of_file(&file, &seen).map_err(Error::file("read", path)),
        Err(_) => Ok(Counted { unread: 1, ..Counted::default() }),
    };
    files.par_iter().map(count).try_reduce(Counted::default, |a, b| Ok(a.add(b)))
}

/// Counts the chunks of one file, which is shown as `path`.
pub(crate) fn of_one(path: &Path, file: &File) -> Result<Counted> {
    of_file(file, &std::array::from_fn(|_| Seen::new())).map_err(Error::file("read", path))
}

fn of_file(file: &File, seen: &[Seen; SIZES.len()]) -> io::Result<Counted> {
    let len = file.metadata()?.len();
    let stretches = stretches(file, len)?;
    let mut holes = Counted::default();
    for (sum, size) in holes.sizes.iter_mut().zip(SIZES) {
        let with_data = stretches.iter().map(|range| (range.end - range.start).div_ceil(size));
        sum.zero_chunks = len.div_ceil(size) - with_data.sum::<u64>();
    }
    stretches
        .into_par_iter()
        .map(|range| of_stretch(file, range, seen))
        .try_reduce(Counted::default, |a, b| Ok(a.add(b)))
        .map(|counted| counted.add(holes))
}

/// The blocks of a file that have data, many of them together.
fn stretches(file: &File, len: u64) -> io::Result<Vec<Range<u64>>> {
    let block = BLOCK as u64;
    let mut stretches = Vec::new();
    let mut at = 0;
    while let Some(data) = holes::next_data(file, at, len)? {
        let mut start = data.start / block * block;
        at = data.end.next_multiple_of(block).min(len);
        while start < at {
            let end = at.min(start + STRETCH * block);
            stretches.push(start..end);
            start = end;
        }
    }
    Ok(stretches)
}

fn of_stretch(file: &File, range: Range<u64>, seen: &[Seen; SIZES.len()]) -> io::Result<Counted> {
    let mut counted = Counted::default();
    let mut buffer = vec![0; BLOCK.min((range.end - range.start) as usize)];
    let mut at = range.start;
    while at < range.end {
        let block = &mut buffer[..BLOCK.min((range.end - at) as usize)];
        file.read_exact_at(block, at)?;
        counted.take(block, seen);
        at += block.len() as u64;
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 4 KiB, each filled with a byte.
    fn pages(fills: &[u8]) -> Vec<u8> {
        fills.iter().flat_map(|&fill| [fill; SIZES[0] as usize]).collect()
    }

    fn of(files: &[(&[u8], u64)]) -> Counted {
        let dir = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (number, (bytes, at)) in files.iter().enumerate() {
            let path = dir.path().join(number.to_string());
            File::create_new(&path).unwrap().write_all_at(bytes, *at).unwrap();
            paths.push(path);
        }
        of_files(&paths).unwrap()
    }

    fn counts(unique: Unique) -> (u64, u64, u64, u64) {
        (unique.chunks, unique.unique_chunks, unique.unique_bytes, unique.zero_chunks)
    }

    #[test]
    fn equal_chunks_are_equal_at_every_size() {
        let one = pages(&[1, 2, 1, 1, 0, 0, 0, 0, 1, 2, 1, 1]);
        let counted = of(&[(&one, 0), (&one, 0)]);
        assert_eq!(counts(counted.sizes[0]), (16, 2, 8192, 8));
        assert_eq!(counts(counted.sizes[1]), (4, 1, 16384, 2));
        assert_eq!(counts(counted.sizes[2]), (2, 1, 49152, 0));
        assert_eq!(counts(counted.sizes[3]), (2, 1, 49152, 0));
    }

    #[test]
    fn what_differs_is_different() {
        // Another order, another length of the same byte.
        let counted = of(&[(&pages(&[1, 2]), 0), (&pages(&[2, 1]), 0)]);
        assert_eq!([0, 1].map(|level| counted.sizes[level].unique_chunks), [2, 2]);
        let counted = of(&[(&[7; 100], 0), (&[7; 101], 0)]);
        assert_eq!(counts(counted.sizes[0]), (2, 2, 201, 0));
        assert_eq!(counts(counted.sizes[3]), (2, 2, 201, 0));
        let counted = of(&[(&pages(&[1, 0, 2]), 0), (&pages(&[1, 2]), 0)]);
        assert_eq!([0, 1].map(|level| counted.sizes[level].unique_chunks), [2, 2]);
    }

    #[test]
    fn files_end_with_zeros() {
        let counted = of(&[(&pages(&[1, 0]), 0), (&pages(&[1, 0, 0]), 0), (&pages(&[1]), 0)]);
        assert_eq!(counts(counted.sizes[0]), (3, 1, 4096, 3));
        assert_eq!([1, 2, 3].map(|level| counted.sizes[level].unique_chunks), [1, 1, 1]);
        let counted = of(&[(&[7; 100], 0), (&[[7; 100].as_slice(), &[0; 9]].concat(), 0)]);
        assert_eq!(counted.sizes.map(|unique| unique.unique_chunks), [1, 1, 1, 1]);
    }

    #[test]
    fn a_hole_counts_as_zeros() {
        // In front of the data 1 MiB and a page, and zeros that are really there.
        let at = (1 << 20) + 4096;
        let counted = of(&[(&pages(&[5, 0]), at), (&[], 0)]);
        assert_eq!(counts(counted.sizes[0]), (1, 1, 4096, 258));
        assert_eq!(counts(counted.sizes[3]), (1, 1, 12288, 4));
        let mut bytes = vec![0; at as usize];
        bytes.extend(pages(&[5, 0]));
        assert_eq!(of(&[(&bytes, 0), (&[], 0)]), counted);
    }

    #[test]
    fn many_threads_count_as_one() {
        let bytes: Vec<u8> = (0..40u32 << 20).map(|at| (at >> 12) as u8 | 1).collect();
        let counted = of(&[(&bytes, 0)]);
        assert_eq!(counts(counted.sizes[0]), (10240, 128, 128 << 12, 0));
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(threads.install(|| of(&[(&bytes, 0)])), counted);
    }

    #[test]
    fn what_cannot_be_opened_is_said() {
        assert_eq!(of_files(&["/nonexistent/file".into()]).unwrap().unread, 1);
    }
}

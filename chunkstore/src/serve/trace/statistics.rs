//! What a trace comes to: how much was read of an image, and which chunks of it that needs.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::Read;
use super::covered::Covered;
use crate::name::ChunkName;

/// Sizes of chunks that are counted, in bytes.
pub const SIZES: [u64; 3] = [16 << 10, 64 << 10, 256 << 10];
/// So many moments are enough to draw a line through.
const MOMENTS: usize = 256;

/// What a trace comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// The image's size in bytes; where that is not known, where the furthest read ends.
    pub image_bytes: u64,
    /// Reads.
    pub requests: u64,
    /// Lines that say what cannot be read of the image.
    pub impossible: u64,
    /// Bytes of all reads.
    pub bytes: u64,
    /// The same, what was read again counted once.
    pub distinct_bytes: u64,
    /// For each of [`SIZES`].
    pub chunks: Vec<OfSize>,
    /// How it came to that, in the order of time.
    pub timeline: Vec<Moment>,
}

/// The chunks of a size that are needed for what was read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfSize {
    /// In bytes.
    pub size: u64,
    /// Places of the image that were read from.
    pub positions: u64,
    /// Different chunks there, without those of zeros; nothing if the image was not looked at.
    pub distinct: Option<u64>,
    /// Bytes of these; of all places if the image was not looked at.
    pub bytes: u64,
    /// These bytes for each distinct byte that was read.
    pub amplification: f64,
}

/// What was read up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Since the server began.
    pub seconds: f64,
    /// Reads.
    pub requests: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The same, what was read again counted once.
    pub distinct_bytes: u64,
    /// Chunks of each of [`SIZES`]: different ones, or places if the image was not looked at.
    pub chunks: [u64; SIZES.len()],
}

/// An image whose chunks are looked at.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The image.
    pub file: &'a File,
    /// Its size in bytes.
    pub len: u64,
}

impl Contents<'_> {
    /// The name of what is in a range, which is at most the largest of [`SIZES`]; nothing if that is zeros.
    fn name(&self, range: &Range<u64>) -> io::Result<Option<ChunkName>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.iter().any(|byte| *byte != 0).then(|| ChunkName::of(&bytes)))
    }
}

/// Counts. With `image` chunks are told by what is in them, else by where they are. The reads may say anything; an error
/// is one of reading the image.
pub fn statistics(reads: &[Read], image: Option<&Contents<'_>>) -> io::Result<Statistics> {
    let mut reads: Vec<&Read> = reads.iter().collect();
    reads.sort_by_key(|read| read.time);
    let all = reads.len();
    let most = image.map_or(u64::MAX, |image| image.len);
    let is_possible = |read: &&Read| {
        let end = read.offset.checked_add(read.length);
        read.length > 0 && end.is_some_and(|end| end <= most)
    };
    reads.retain(is_possible);
    let furthest = reads.iter().map(|read| read.offset + read.length).max().unwrap_or(0);
    let image_bytes = image.map_or(furthest, |image| image.len);
    let mut levels = SIZES.map(|size| Level::new(size, image_bytes));
    let mut covered = Covered::default();
    let mut now =
        Moment { seconds: 0.0, requests: 0, bytes: 0, distinct_bytes: 0, chunks: [0; SIZES.len()] };
    let mut timeline = Vec::new();
    let every = reads.len().div_ceil(MOMENTS).max(1);
    for (number, read) in reads.iter().enumerate() {
        let range = read.offset..read.offset + read.length;
        for level in &mut levels {
            level.add(&range, image)?;
        }
        now.seconds = read.time as f64 / 1e6;
        now.requests += 1;
        now.bytes = now.bytes.saturating_add(read.length);
        now.distinct_bytes += covered.add(range).iter().map(|new| new.end - new.start).sum::<u64>();
        now.chunks = levels.each_ref().map(|level| level.count(image.is_some()));
        if number % every == 0 || number + 1 == reads.len() {
            timeline.push(now);
        }
    }
    let chunks = levels.iter().map(|level| level.done(image.is_some(), now.distinct_bytes));
    Ok(Statistics {
        image_bytes,
        requests: now.requests,
        impossible: (all - reads.len()) as u64,
        bytes: now.bytes,
        distinct_bytes: now.distinct_bytes,
        chunks: chunks.collect(),
        timeline,
    })
}

/// Chunks of one size that were needed so far.
struct Level {
    size: u64,
    image_bytes: u64,
    places: Covered,
    positions: u64,
    bytes_of_positions: u64,
    names: HashSet<ChunkName>,
    bytes_of_names: u64,
}

impl Level {
    fn new(size: u64, image_bytes: u64) -> Self {
        Self {
            size,
            image_bytes,
            places: Covered::default(),
            positions: 0,
            bytes_of_positions: 0,
            names: HashSet::new(),
            bytes_of_names: 0,
        }
    }

    fn add(&mut self, range: &Range<u64>, image: Option<&Contents<'_>>) -> io::Result<()> {
        let size = self.size;
        for new in self.places.add(range.start / size..range.end.div_ceil(size)) {
            self.positions += new.end - new.start;
            let end = new.end.saturating_mul(size).min(self.image_bytes);
            self.bytes_of_positions += end - new.start * size;
            let Some(image) = image else { continue };
            for position in new {
                let start = position * size;
                let chunk = start..(start + size).min(self.image_bytes);
                let len = chunk.end - chunk.start;
                if let Some(name) = image.name(&chunk)?
                    && self.names.insert(name)
                {
                    self.bytes_of_names += len;
                }
            }
        }
        Ok(())
    }

    fn count(&self, by_name: bool) -> u64 {
        if by_name { self.names.len() as u64 } else { self.positions }
    }

    fn done(&self, by_name: bool, read: u64) -> OfSize {
        let bytes = if by_name { self.bytes_of_names } else { self.bytes_of_positions };
        OfSize {
            size: self.size,
            positions: self.positions,
            distinct: by_name.then_some(self.names.len() as u64),
            bytes,
            amplification: if read == 0 { 0.0 } else { bytes as f64 / read as f64 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn read(time: u64, offset: u64, length: u64) -> Read {
        Read { time, offset, length }
    }

    #[test]
    fn a_small_trace() {
        let reads = [read(2_000_000, 60_000, 10_000), read(1_000_000, 0, 4096), read(3, 0, 4096)];
        let found = statistics(&reads, None).unwrap();
        assert_eq!((found.requests, found.bytes, found.distinct_bytes), (3, 18_192, 14_096));
        assert_eq!(found.image_bytes, 70_000);
        let positions: Vec<_> = found.chunks.iter().map(|of| (of.positions, of.bytes)).collect();
        // Places 0, 3 and 4 of 16 KiB, the last one as long as is left.
        assert_eq!(positions, [(3, 2 * 16384 + 70_000 - 65536), (2, 70_000), (1, 70_000)]);
        assert!((found.chunks[2].amplification - 70_000.0 / 14_096.0).abs() < 1e-9);
        let seconds: Vec<_> = found.timeline.iter().map(|moment| moment.seconds).collect();
        assert_eq!(seconds, [3e-6, 1.0, 2.0]);
        assert_eq!(found.timeline[1].chunks, [1, 1, 1]);
    }

    #[test]
    fn equal_chunks_count_once_and_zeros_never() {
        let mut file = tempfile::tempfile().unwrap();
        for fill in [7u8, 0, 7, 8] {
            file.write_all(&[fill; 16 << 10]).unwrap();
        }
        file.write_all(&[7; 100]).unwrap();
        let len = (64 << 10) + 100;
        let image = Contents { file: &file, len };
        let reads = [read(0, 0, 64 << 10), read(1, len - 1, 1)];
        let found = statistics(&reads, Some(&image)).unwrap();
        let counts: Vec<_> = found.chunks.iter().map(|of| (of.positions, of.distinct)).collect();
        assert_eq!(counts, [(5, Some(3)), (2, Some(2)), (1, Some(1))]);
        assert_eq!(found.chunks[0].bytes, 2 * (16 << 10) + 100);
        // Beyond its end nothing can have been read.
        let reads = [read(0, len, 1), read(0, u64::MAX, 5), read(0, 3, 0), read(0, len - 1, 1)];
        let found = statistics(&reads, Some(&image)).unwrap();
        assert_eq!((found.requests, found.impossible, found.bytes), (1, 3, 1));
    }

    #[test]
    fn the_largest_numbers_are_counted_in_no_time() {
        let reads = [read(u64::MAX, 0, u64::MAX), read(0, u64::MAX, 1), read(0, u64::MAX - 1, 1)];
        let found = statistics(&reads, None).unwrap();
        assert_eq!((found.requests, found.impossible), (2, 1));
        assert_eq!((found.bytes, found.distinct_bytes), (u64::MAX, u64::MAX));
        assert_eq!(found.chunks[0].positions, 1 << 50);
        let many: Vec<Read> = (0..10_000).map(|n| read(n, n * 4096, 4096)).collect();
        let found = statistics(&many, None).unwrap();
        assert!(found.timeline.len() <= MOMENTS + 1);
        assert_eq!(found.timeline.last().unwrap().requests, 10_000);
    }

    proptest! {
        #[test]
        fn as_counted_byte_by_byte(
            ranges in proptest::collection::vec((0u64..600_000, 1u64..60_000), 0..20)
        ) {
            let reads: Vec<Read> =
                ranges.iter().enumerate().map(|(n, (o, l))| read(n as u64, *o, *l)).collect();
            let found = statistics(&reads, None).unwrap();
            let bytes: BTreeSet<u64> = ranges.iter().flat_map(|&(o, l)| o..o + l).collect();
            prop_assert_eq!(found.distinct_bytes, bytes.len() as u64);
            for (size, of) in SIZES.iter().zip(&found.chunks) {
                let places: BTreeSet<u64> = bytes.iter().map(|byte| byte / size).collect();
                prop_assert_eq!(of.positions, places.len() as u64);
                let lens = places.iter().map(|place| (*size).min(found.image_bytes - place * size));
                prop_assert_eq!(of.bytes, lens.sum::<u64>());
            }
        }
    }
}

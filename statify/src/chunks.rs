//! A file written from its start, in chunks. What of a chunk can be shared ([`Sharing`]) is not
//! written.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use statify_elf::PAGE;

use crate::sharing::{Sharing, Source};

/// Bytes written at once, at offsets that are multiples of it: the page cache then keeps the file
/// in large folios, and page faults on it cost a third less (299 instead of 402 us for hello, exec
/// to exit, against page-wise writes).
pub const CHUNK: usize = 2 << 20;

/// Fewer zero bytes are written: a hole ends the page cache's folio.
const LEAST_HOLE: u64 = 32 << 10;

/// Sees what a file consists of, chunk by chunk, while that is in the CPU's cache.
pub trait Watch {
    /// These bytes are the file's from its offset `at` on, a multiple of a page. Chunks come in their
    /// order; between them, and nowhere else, are holes. What was seen may be seen again, with more.
    fn see(&mut self, at: u64, chunk: &[u8]);
}

/// The file.
pub struct ChunkWriter<'a, W> {
    file: &'a File,
    chunk: Vec<u8>,
    /// The file offset of the chunk's first byte.
    at: u64,
    /// Sees all that is written.
    pub watch: W,
    sharing: Option<&'a dyn Sharing>,
    /// Where bytes may be shared with; ascending.
    sources: Vec<Source<'a>>,
    /// File offsets of what is shared; ascending.
    shared: Vec<Range<u64>>,
    /// File offsets within the chunk of what is to stay a hole.
    holes: Vec<Range<u64>>,
}

impl<'a, W: Watch> ChunkWriter<'a, W> {
    /// Writes to `file`, a new one. `sources` says what of it stems from files; ascending.
    pub fn new(
        file: &'a File,
        watch: W,
        sharing: Option<&'a dyn Sharing>,
        sources: Vec<Source<'a>>,
    ) -> Self {
        let (chunk, shared, holes) = (Vec::with_capacity(CHUNK), Vec::new(), Vec::new());
        Self { file, chunk, at: 0, watch, sharing, sources, shared, holes }
    }

    /// The next bytes.
    pub fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let some = bytes.len().min(CHUNK - self.chunk.len());
            self.chunk.extend_from_slice(&bytes[..some]);
            bytes = &bytes[some..];
            if self.chunk.len() == CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The next `len` bytes, at most as many as a chunk has, as `read` fills them in.
    pub fn put_with(
        &mut self,
        len: usize,
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = self.chunk.len();
        if start + len > CHUNK {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.chunk.resize(start + len, 0);
        read(&mut self.chunk[start..])?;
        if self.chunk.len() == CHUNK { self.flush() } else { Ok(()) }
    }

    /// How much is left of the chunk, in bytes.
    pub fn room(&self) -> usize {
        CHUNK - self.chunk.len()
    }

    /// Leaves zero bytes up to `offset`; many of them stay holes.
    pub fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        let end = self.at + CHUNK as u64;
        let here = self.at + self.chunk.len() as u64;
        let hole = here.next_multiple_of(PAGE)..offset.min(end) / PAGE * PAGE;
        if hole.start + LEAST_HOLE <= hole.end {
            self.holes.push(hole);
        }
        if offset >= end {
            // Pages are whole for their checksums.
            self.chunk.resize(self.chunk.len().next_multiple_of(PAGE as usize), 0);
            self.flush()?;
            self.at = offset - offset % CHUNK as u64;
        }
        self.chunk.resize((offset - self.at) as usize, 0);
        Ok(())
    }

    /// Writes the chunk.
    pub fn flush(&mut self) -> io::Result<()> {
        self.watch.see(self.at, &self.chunk);
        let end = self.at + self.chunk.len() as u64;
        let shared = self.share(end);
        let mut unwritten = std::mem::take(&mut self.holes);
        unwritten.iter_mut().for_each(|hole| hole.end = hole.end.min(end));
        unwritten.extend(shared.iter().cloned());
        unwritten.sort_unstable_by_key(|range| range.start);
        for range in gaps(self.at..end, &unwritten) {
            let bytes =
                &self.chunk[(range.start - self.at) as usize..(range.end - self.at) as usize];
            self.file.write_all_at(bytes, range.start)?;
        }
        self.shared.extend(shared);
        self.at = end;
        self.chunk.clear();
        Ok(())
    }

    /// Writes what is left. Returns the file offsets of what is shared, ascending, and who watched.
    pub fn finish(mut self) -> io::Result<(Vec<Range<u64>>, W)> {
        self.flush()?;
        Ok((self.shared, self.watch))
    }

    /// Makes shared what can be of the chunk, which ends at `end`: file offsets, ascending.
    fn share(&self, end: u64) -> Vec<Range<u64>> {
        let Some(sharing) = self.sharing else {
            return Vec::new();
        };
        let bytes = |range: &Range<u64>| {
            &self.chunk[(range.start - self.at) as usize..(range.end - self.at) as usize]
        };
        let moved = |ranges: Vec<Range<u64>>, at: u64| {
            ranges.into_iter().map(move |range| at + range.start..at + range.end)
        };
        let mut shared = Vec::new();
        let first = self.sources.partition_point(|source| source.range.end <= self.at);
        for source in self.sources[first..].iter().take_while(|s| s.range.start < end) {
            let range = source.range.start.max(self.at)..source.range.end.min(end);
            let offset = source.offset + (range.start - source.range.start);
            let at = range.start;
            let ranges = sharing.share(source.path, offset, bytes(&range), self.file, at);
            shared.extend(moved(ranges, at));
        }
        let mut known = [&self.holes[..], &shared].concat();
        known.sort_unstable_by_key(|range| range.start);
        for range in gaps(self.at..end, &known) {
            let ranges = sharing.share_repeated(bytes(&range), self.file, range.start);
            shared.extend(moved(ranges, range.start));
        }
        shared.sort_unstable_by_key(|range| range.start);
        shared
    }
}

/// What of `whole` lies between `ranges`, which are ascending.
fn gaps(whole: Range<u64>, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let starts = std::iter::once(whole.start).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain([whole.end]);
    starts.zip(ends).map(|(start, end)| start..end).filter(|gap| gap.start < gap.end).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(u64, usize)>);

    impl Watch for Seen {
        fn see(&mut self, at: u64, chunk: &[u8]) {
            self.0.push((at, chunk.len()));
        }
    }

    #[test]
    fn whole_chunks_of_nothing_stay_holes() {
        let file = tempfile::tempfile().unwrap();
        let mut out = ChunkWriter::new(&file, Seen::default(), None, Vec::new());
        out.put(b"start").unwrap();
        let far = 3 * CHUNK as u64 + PAGE;
        out.skip_to(far).unwrap();
        let end = |bytes: &mut [u8]| {
            bytes.copy_from_slice(b"end.");
            Ok(())
        };
        out.put_with(4, end).unwrap();
        assert_eq!(out.room(), CHUNK - PAGE as usize - 4);
        let (shared, Seen(seen)) = out.finish().unwrap();
        assert!(shared.is_empty());
        assert_eq!(seen, [(0, PAGE as usize), (3 * CHUNK as u64, PAGE as usize + 4)]);
        let mut bytes = vec![1; far as usize + 4];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes.starts_with(b"start\0") && bytes.ends_with(b"\0end."));
        assert!(file.metadata().unwrap().blocks() < 100, "{:?}", file.metadata());
    }
}

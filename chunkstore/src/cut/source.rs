//! The image that is cut: a file or a device, read in batches, holes left out.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, SeekFrom as DataFrom};
use rustix::io::Errno;

use super::batch::{Batch, Feed};
use super::content::Cutter;
use crate::chunking::{Bounds, Chunking};
use crate::error::Error;
use crate::size::ChunkSize;

/// How much is read at once, in bytes: several of the largest chunks.
const BATCH: u64 = 16 << 20;

/// A file or a block device.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    len: u64,
    state: State,
}

/// What differs when a file was written to: its size, times of change in nanoseconds.
#[derive(Debug, PartialEq, Eq)]
struct State(u64, [i64; 4]);

impl Source {
    /// Opens it.
    pub fn open(path: &Path) -> io::Result<Self> {
        // A pipe is not waited for.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let mut file = File::options().read(true).custom_flags(flags).open(path)?;
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(io::Error::other("it is no regular file and no block device"));
        }
        let len = file.seek(SeekFrom::End(0))?;
        let state = State::of(&file)?;
        Ok(Self { file, path: path.to_owned(), len, state })
    }

    /// Its size, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was written to since it was opened.
    pub fn has_changed(&self) -> io::Result<bool> {
        Ok(State::of(&self.file)? != self.state)
    }

    /// Hands on what is no hole, in order.
    pub fn read(&self, chunking: Chunking, feed: &Feed) {
        let read = match chunking {
            Chunking::Fixed(size) => self.read_fixed(size, feed),
            Chunking::ContentDefined(bounds) => self.read_content_defined(bounds, feed),
        };
        if let Err(error) = read {
            feed.give(Err(Error::Image(self.path.clone(), error)));
        }
    }

    fn read_fixed(&self, size: ChunkSize, feed: &Feed) -> io::Result<()> {
        let step = size.bytes() as usize;
        let mut at = 0;
        while let Some(data) = self.data_from(at)? {
            let start = data - data % size.bytes();
            let bytes = self.bytes(start, feed)?;
            let end = bytes.len();
            let pieces = (0..end).step_by(step).map(|at| at..end.min(at + step)).collect();
            if !feed.give(Ok(Batch { start, bytes, pieces })) {
                break;
            }
            at = start + end as u64;
        }
        Ok(())
    }

    fn read_content_defined(&self, bounds: Bounds, feed: &Feed) -> io::Result<()> {
        let cutter = Cutter::new(bounds);
        let mut at = 0;
        while at < self.len {
            let zeros = self.data_from(at)?.unwrap_or(self.len) - at;
            let start = at + cutter.skip(zeros);
            let bytes = self.bytes(start, feed)?;
            let pieces = cutter.pieces(&bytes, start + bytes.len() as u64 == self.len);
            let batch = Batch { start, bytes, pieces };
            // What is left at its end is read once more: less than the largest chunk.
            at = batch.end();
            if !feed.give(Ok(batch)) {
                break;
            }
        }
        Ok(())
    }

    /// As much as is read at once.
    fn bytes(&self, start: u64, feed: &Feed) -> io::Result<Vec<u8>> {
        let mut bytes = feed.room((self.len - start).min(BATCH) as usize);
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// Where the first byte from `at` on is that may not be zero.
    fn data_from(&self, at: u64) -> io::Result<Option<u64>> {
        if at >= self.len {
            return Ok(None);
        }
        match rustix::fs::seek(&self.file, DataFrom::Data(at)) {
            Ok(data) => Ok(Some(data.max(at)).filter(|data| *data < self.len)),
            Err(Errno::NXIO) => Ok(None),
            // Devices, and file systems without holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at)),
            Err(error) => Err(error.into()),
        }
    }
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let stat = file.metadata()?;
        let times = [stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec()];
        Ok(Self(stat.len(), times))
    }
}

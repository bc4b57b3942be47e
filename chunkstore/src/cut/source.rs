//! The image that is cut: read in batches, holes left out.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::SeekFrom as DataFrom;
use rustix::io::Errno;

use crate::ChunkSize;

/// How much is read at once, in bytes: several of the largest chunks.
const BATCH: u64 = 16 << 20;

/// A file or a block device.
#[derive(Debug)]
pub struct Source {
    file: File,
    len: u64,
    state: State,
}

/// What differs when a file was written to: its size, times of change in nanoseconds.
#[derive(Debug, PartialEq, Eq)]
struct State(u64, [i64; 4]);

/// Bytes of an image.
#[derive(Debug)]
pub struct Batch {
    /// Where they begin: a multiple of the chunk size.
    pub start: u64,
    /// As many whole chunks, and what is left of the image.
    pub bytes: Vec<u8>,
}

impl Batch {
    /// Where they end.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Source {
    /// Opens it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(io::Error::other("it is no regular file and no block device"));
        }
        let len = file.seek(SeekFrom::End(0))?;
        let state = State::of(&file)?;
        Ok(Self { file, len, state })
    }

    /// Its size, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was written to since it was opened.
    pub fn has_changed(&self) -> io::Result<bool> {
        Ok(State::of(&self.file)? != self.state)
    }

    /// Hands on what is no hole, in order, until `next` says that it is enough. An error is the last that it hands on.
    pub fn read(&self, size: ChunkSize, mut next: impl FnMut(io::Result<Batch>) -> bool) {
        let mut at = 0;
        loop {
            let batch = self.data_from(at).and_then(|data| {
                let Some(data) = data else { return Ok(None) };
                let start = data - data % size.bytes();
                let end = self.len.min(start + BATCH);
                let mut bytes = vec![0; (end - start) as usize];
                self.file.read_exact_at(&mut bytes, start)?;
                Ok(Some(Batch { start, bytes }))
            });
            match batch.transpose() {
                None => return,
                Some(batch) => {
                    let end = batch.as_ref().map(Batch::end).ok();
                    let Some(end) = end.filter(|_| next(batch)) else { return };
                    at = end;
                }
            }
        }
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

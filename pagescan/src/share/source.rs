//! Where snapshots come from: a file, of which one is read part by part, or memory.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::snapshot::{Header, Reader, Snapshot, Visitor, outline, walk};

/// By what a file is known again that is read several times: one that was replaced or written to meanwhile is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(stat: &Metadata) -> Self {
        Self {
            file: (stat.dev(), stat.ino()),
            len: stat.len(),
            modified: (stat.mtime(), stat.mtime_nsec()),
        }
    }
}

/// A snapshot that is to be classified.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// One of a file's.
    File {
        /// The file.
        path: PathBuf,
        /// What it was when it was first read.
        stamp: Stamp,
        /// Where in it the snapshot begins.
        at: u64,
        /// How it begins.
        header: Box<Header>,
    },
    /// One that is at hand.
    Memory(&'a Snapshot),
}

impl Source<'_> {
    /// One of the snapshots of a file: the last, or the one of this number, of which the first is 1.
    pub fn choose(path: &Path, number: Option<usize>) -> Result<Self> {
        let mut begun = Self::outline(path)?;
        let index = match number {
            None => begun.len() - 1,
            Some(number) if (1..=begun.len()).contains(&number) => number - 1,
            Some(number) => return Err(Error::NoSuchSnapshot(path.into(), number, begun.len())),
        };
        Ok(begun.swap_remove(index))
    }

    /// All snapshots of a file, at least one.
    pub fn outline(path: &Path) -> Result<Vec<Self>> {
        let damage = |damage| Error::Snapshot(path.into(), damage);
        let file = File::open(path).map_err(|error| damage(error.into()))?;
        let stamp = file.metadata().map_err(|error| damage(error.into()))?;
        let stamp = Stamp::of(&stamp);
        let begun = outline(file).map_err(damage)?;
        let source = |begun: crate::snapshot::Begun| Self::File {
            path: path.into(),
            stamp,
            at: begun.at,
            header: Box::new(begun.header),
        };
        Ok(begun.into_iter().map(source).collect())
    }

    /// When, where and how it was taken.
    pub fn header(&self) -> &Header {
        match self {
            Self::File { header, .. } => header,
            Self::Memory(snapshot) => &snapshot.header,
        }
    }

    /// How it is called.
    pub fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } => path,
            Self::Memory(_) => Path::new("a snapshot"),
        }
    }

    /// Shows it part by part.
    pub fn visit(&self, visitor: &mut impl Visitor) -> Result<()> {
        let visited = match self {
            Self::Memory(snapshot) => snapshot.visit(visitor),
            Self::File { path, stamp, at, .. } => {
                let mut reader = open(path, stamp, *at)?;
                walk(&mut reader, visitor).map(|_| ())
            }
        };
        visited.map_err(|damage| Error::Snapshot(self.path().into(), damage))
    }
}

/// A file's reader at a byte where a snapshot begins.
pub fn open(path: &Path, stamp: &Stamp, at: u64) -> Result<Reader<BufReader<File>>> {
    let opened = || -> io::Result<File> {
        let mut file = File::open(path)?;
        if Stamp::of(&file.metadata()?) != *stamp {
            return Err(io::Error::other(
                "it was replaced or written to while it was read; try again",
            ));
        }
        file.seek(SeekFrom::Start(at))?;
        Ok(file)
    };
    let file = opened().map_err(|error| Error::Snapshot(path.into(), error.into()))?;
    Ok(Reader::within(BufReader::new(file), at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::MAGIC;

    #[test]
    fn another_file_of_the_same_name_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&path, MAGIC).unwrap();
        let stamp = Stamp::of(&path.metadata().unwrap());
        assert!(open(&path, &stamp, 0).is_ok());
        std::fs::write(&other, MAGIC).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let error = open(&path, &stamp, 0).map(drop).unwrap_err();
        assert!(error.to_string().contains("while it was read"), "{error}");
    }
}

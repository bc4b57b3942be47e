//! What stays of a run: a directory, in which what the guests said is written down as they say it.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use statify_files::new_file;
use statify_files::trusted::{self, Place, Way};

use crate::error::{Error, Result};

/// Of the directory if it is made, for the umask to take from.
const MODE: u32 = 0o777;

/// The directory.
#[derive(Debug)]
pub struct Record {
    place: Place,
    shown: PathBuf,
}

impl Record {
    /// Opens it, or makes it.
    pub fn open(dir: &Path) -> Result<Self> {
        let place = trusted::directory(dir, Way::Any, Some(MODE));
        Ok(Self { place: place.map_err(Error::file("written", dir))?, shown: dir.to_owned() })
    }

    /// Begins a file, in the place of an older one.
    pub fn begin(&self, name: &str) -> Result<File> {
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::TRUNC
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.place.dir, name, flags, Mode::from_raw_mode(0o666));
        let path = self.path(name);
        let file = file.map_err(|errno| Error::file("written", &path)(errno.into()))?;
        Ok(File::from(file))
    }

    /// Writes a whole file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let written = new_file::write_in(&self.place, name, bytes);
        written.map_err(Error::file("written", &self.path(name)))
    }

    /// What a file of it is called outside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.shown.join(name)
    }
}

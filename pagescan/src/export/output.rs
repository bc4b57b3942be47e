//! A file that is there when it is complete, for its owner only: hashes tell what memory holds to those who can guess it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use statify_files::beneath;
use statify_files::trusted::{self, Place, Way};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file that is being written. A name that is a link, or another file, is replaced.
pub struct Output<'a> {
    place: &'a Place,
    name: &'a OsStr,
    file: BufWriter<NamedTempFile>,
}

impl<'a> Output<'a> {
    /// Begins the file `name` in a directory.
    pub fn new(place: &'a Place, name: &'a OsStr) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(".pagescan-").tempfile_in(beneath::link(&place.dir))?;
        Ok(Self { place, name, file: BufWriter::new(file) })
    }

    /// Gives it its name.
    pub fn finish(self) -> io::Result<File> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(beneath::at(&self.place.dir, self.name)).map_err(|error| error.error)
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A directory, and the path of a file in it.
pub(super) fn directory(path: &Path, name: &str) -> Result<(Place, PathBuf)> {
    let place = trusted::directory(path, Way::Any, Some(0o700));
    let place = place.map_err(|error| Error::Output(path.into(), error))?;
    let path = path.join(name);
    Ok((place, path))
}

//! A file that gets its name when it is complete: written beside it, then renamed to it.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A file being written, that does not have its name yet.
#[derive(Debug)]
pub struct PendingFile {
    temporary: tempfile::NamedTempFile,
    /// The same file, open for reading only.
    reader: File,
}

/// A complete file that does not have its name yet; gone if it never gets one.
#[derive(Debug)]
pub struct CompleteFile {
    temporary: tempfile::TempPath,
    /// Open for reading: a file open for writing could not be run.
    file: File,
}

impl PendingFile {
    /// Begins one in the directory that `path` is in.
    pub fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = crate::interrupt::create(|| {
            let made = tempfile::Builder::new().prefix(".statify-").make_in(directory, |name| {
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(name)
            })?;
            let path = made.path().to_owned();
            Ok((made, path))
        })?;
        let reader = File::open(temporary.path())?;
        let id = |file: &File| file.metadata().map(|file| (file.dev(), file.ino()));
        if id(&reader)? != id(temporary.as_file())? {
            return Err(io::Error::other("another file was put in its place"));
        }
        temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
        Ok(Self { temporary, reader })
    }

    /// The file.
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Nothing is written to it any more. With `sync` it is on the disk then.
    pub fn complete(self, sync: bool) -> io::Result<CompleteFile> {
        if sync {
            self.temporary.as_file().sync_all()?;
        }
        Ok(CompleteFile { temporary: self.temporary.into_temp_path(), file: self.reader })
    }
}

impl CompleteFile {
    /// Where it is for now.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// The file, not for writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name; with `replace` even if another file has it.
    pub fn publish(self, path: &Path, replace: bool) -> io::Result<()> {
        let pending = self.temporary.to_path_buf();
        let renamed = crate::interrupt::publish(&pending, || {
            if replace {
                self.temporary.persist(path)
            } else {
                self.temporary.persist_noclobber(path)
            }
        });
        renamed.map_err(|error| error.error)
    }
}

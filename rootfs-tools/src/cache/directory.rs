//! A cache in a directory: `entries/KEY/NAME` and `outputs/NAME`, which appear by rename(2).

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::storage::{Storage, is_name};
use crate::contents;
use crate::error::{Error, Result};

/// A directory into which nobody else can put anything.
#[derive(Debug)]
pub struct Directory {
    entries: PathBuf,
    outputs: PathBuf,
}

impl Directory {
    /// Opens or makes it.
    pub fn open(dir: &Path) -> Result<Self> {
        let failed = |source| Error::File { path: dir.to_owned(), what: "used as a cache", source };
        let new = Self { entries: dir.join("entries"), outputs: dir.join("outputs") };
        for path in [dir, &new.entries, &new.outputs] {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            let stat = path.metadata().map_err(failed)?;
            let own = rustix::process::geteuid().as_raw();
            if stat.mode() & 0o022 != 0 || ![0, own].contains(&stat.uid()) {
                let why = "others than you may write to it, and what is in it becomes programs";
                return Err(failed(io::Error::other(why)));
            }
        }
        Ok(new)
    }
}

impl Storage for Directory {
    fn entries(&self, key: &str, most: usize) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.entries.join(key))?.filter_map(io::Result::ok);
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| is_name(name)).take(most).collect())
    }

    fn entry(&self, key: &str, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = contents::open(&self.entries.join(key).join(name))?;
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn output(&self, name: &str, _: u64, to: &Path) -> io::Result<File> {
        contents::copy(&contents::open(&self.outputs.join(name))?, to)
    }

    fn has_output(&self, name: &str, size: u64) -> io::Result<bool> {
        Ok(self.outputs.join(name).metadata()?.len() == size)
    }

    fn keep_output(&self, name: &str, output: &File) -> io::Result<()> {
        let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(&self.outputs)?;
        let new = partial.path().join("output");
        contents::copy(output, &new)?.sync_data()?;
        fs::rename(new, self.outputs.join(name))
    }

    fn keep_entry(&self, key: &str, name: &str, entry: &[u8]) -> io::Result<()> {
        let entries = self.entries.join(key);
        DirBuilder::new().recursive(true).mode(0o700).create(&entries)?;
        let mut new = tempfile::NamedTempFile::new_in(&self.entries)?;
        new.write_all(entry)?;
        new.as_file().sync_data()?;
        new.persist(entries.join(name))?;
        Ok(())
    }
}

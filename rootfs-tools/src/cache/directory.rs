//! A cache in a directory: `entries/KEY/NAME` and `recipes/NAME`, which appear by rename(2).

use std::fs::{self, DirBuilder};
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
    recipes: PathBuf,
}

impl Directory {
    /// Opens or makes it.
    pub fn open(dir: &Path) -> Result<Self> {
        let failed = |source| Error::File { path: dir.to_owned(), what: "used as a cache", source };
        let new = Self { entries: dir.join("entries"), recipes: dir.join("recipes") };
        for path in [dir, &new.entries, &new.recipes] {
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
        read(&self.entries.join(key).join(name), most)
    }

    fn recipe(&self, name: &str, size: u64) -> io::Result<Vec<u8>> {
        read(&self.recipes.join(name), size)
    }

    fn has_recipe(&self, name: &str, size: u64) -> io::Result<bool> {
        Ok(self.recipes.join(name).metadata()?.len() == size)
    }

    fn keep_recipe(&self, name: &str, recipe: &[u8]) -> io::Result<()> {
        write(&self.recipes, recipe, &self.recipes.join(name))
    }

    fn keep_entry(&self, key: &str, name: &str, entry: &[u8]) -> io::Result<()> {
        let entries = self.entries.join(key);
        DirBuilder::new().recursive(true).mode(0o700).create(&entries)?;
        write(&self.entries, entry, &entries.join(name))
    }
}

/// At most `most` bytes of a file.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = contents::open(path)?;
    statify::holes::check_holes(&file)?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file, which gets its name when it is on the disk, in a directory below `place`.
fn write(place: &Path, bytes: &[u8], to: &Path) -> io::Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(place)?;
    new.write_all(bytes)?;
    new.as_file().sync_data()?;
    new.persist(to)?;
    Ok(())
}

//! A cache in a directory: `entries/KEY/NAME` and `recipes/NAME`, which appear by rename(2). It is opened
//! once, as nobody else may put another in its place.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use statify_files::beneath;
use statify_files::trusted::{self, Place};

use super::storage::{Storage, is_name};
use crate::error::{Error, Result};

/// A directory into which nobody else can put anything.
#[derive(Debug)]
pub struct Directory {
    entries: File,
    recipes: File,
}

impl Directory {
    /// Opens or makes it.
    pub fn open(dir: &Path) -> Result<Self> {
        let open = || -> io::Result<Self> {
            let place = trusted::own_directory(dir, true)?;
            Ok(Self { entries: own(&place, "entries")?, recipes: own(&place, "recipes")? })
        };
        open().map_err(|why| {
            let source = io::Error::other(format!("{why}, and what is in it becomes programs"));
            Error::File { path: dir.to_owned(), what: "used as a cache", source }
        })
    }

    fn key(&self, key: &str) -> io::Result<File> {
        beneath::directory(&self.entries, Path::new(key))
    }
}

fn own(place: &Place, name: &str) -> io::Result<File> {
    let dir = beneath::make_directory(&place.dir, OsStr::new(name))?;
    let stat = dir.metadata()?;
    if trusted::is_ours(&stat) && !trusted::others_write(&stat) {
        return Ok(dir);
    }
    let path = place.path.join(name);
    Err(io::Error::other(format!("{}: others than you may write to it", path.display())))
}

impl Storage for Directory {
    fn entries(&self, key: &str, most: usize) -> io::Result<Vec<String>> {
        // Open for as long as its entries are read by its link.
        let dir = self.key(key)?;
        let entries = std::fs::read_dir(beneath::link(&dir))?;
        let names = entries.filter_map(io::Result::ok);
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| is_name(name)).take(most).collect())
    }

    fn entry(&self, key: &str, name: &str, most: u64) -> io::Result<Vec<u8>> {
        read(&self.key(key)?, name, most)
    }

    fn recipe(&self, name: &str, size: u64) -> io::Result<Vec<u8>> {
        read(&self.recipes, name, size)
    }

    fn has_recipe(&self, name: &str, size: u64) -> io::Result<bool> {
        Ok(beneath::file(&self.recipes, Path::new(name))?.metadata()?.len() == size)
    }

    fn keep_recipe(&self, name: &str, recipe: &[u8]) -> io::Result<()> {
        write(&self.recipes, recipe, &self.recipes, name)
    }

    fn keep_entry(&self, key: &str, name: &str, entry: &[u8]) -> io::Result<()> {
        let entries = beneath::make_directory(&self.entries, OsStr::new(key))?;
        write(&self.entries, entry, &entries, name)
    }
}

/// At most `most` bytes of a file.
fn read(dir: &File, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = beneath::file(dir, Path::new(name))?;
    statify_elf::holes::check_holes(&file)?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file, which gets its name in `dir` when it is on the disk; until then it is in `place`.
fn write(place: &File, bytes: &[u8], dir: &File, name: &str) -> io::Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(beneath::link(place))?;
    new.write_all(bytes)?;
    new.as_file().sync_data()?;
    new.persist(beneath::at(dir, name))?;
    Ok(())
}

//! The files that are looked at.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use statify_elf::holes;
use statify_program::Refusal;
use statify_room::Root;

/// A program, a library or a loader.
#[derive(Debug)]
pub struct Module {
    /// Its path, as the loader finds it.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The bytes of a file.
#[derive(Debug)]
pub enum Bytes {
    /// Of a file that is there.
    Mapped(Mmap),
    /// Of one that is embedded in another.
    Rebuilt(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Rebuilt(bytes) => bytes,
        }
    }
}

/// Maps a regular file; nothing else is opened.
pub fn open(root: &Root, path: &Path) -> Result<Bytes, Refusal> {
    let unreadable = |source: io::Error| Refusal::Program(path.to_owned(), source);
    let found = root.find(path).map_err(unreadable)?;
    let metadata = found.link().metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
        return Err(Refusal::NotAFile(path.to_owned(), kind));
    }
    if metadata.len() == 0 {
        return Ok(Bytes::Rebuilt(Vec::new()));
    }
    let file = File::open(found.link()).map_err(unreadable)?;
    holes::check(&file).map_err(unreadable)?;
    // SAFETY: the bytes are only read as bytes; a file that shrinks meanwhile ends the process, as
    // it would end a program that is run from it.
    let bytes = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
    Ok(Bytes::Mapped(bytes))
}

//! The files that were embedded, where they still are what they were.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};
use statify_elf::holes;
use statify_format::manifest::{EmbeddedFile, hex};
use statify_room::Root;

use super::open::MappedFile;

/// What is at an embedded file's path now.
#[derive(Debug)]
pub enum Original {
    /// The file that was embedded: its SHA-256 is the manifest's.
    Same(MappedFile),
    /// Another one.
    Other,
    /// None, or none that can be read.
    Missing,
}

impl Original {
    /// Looks in a root. Paths that lead nowhere else than before are followed.
    pub fn find(root: &Root, file: &EmbeddedFile) -> Self {
        let Ok(opened) = open(root, &file.path) else { return Self::Missing };
        let len = opened.bytes().len() as u64;
        // The path is the manifest's, which may name /proc/kcore, or a hole of terabytes.
        let is_real = len <= holes::LARGEST && opened.check_holes().is_ok();
        let same =
            len == file.size && is_real && hex(&Sha256::digest(opened.bytes())) == file.sha256;
        if same { Self::Same(opened) } else { Self::Other }
    }

    /// Its bytes, if it is the file that was embedded.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Same(file) => Some(file.bytes()),
            _ => None,
        }
    }
}

/// Opens a regular file in a root.
pub fn open(root: &Root, path: &Path) -> crate::Result<MappedFile> {
    let unreadable = |source: io::Error| crate::Error::File(path.to_owned(), source);
    let found = root.find(path).map_err(unreadable)?;
    MappedFile::open(found.link())
}

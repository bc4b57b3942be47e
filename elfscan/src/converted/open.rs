//! A converted file, opened: its bytes, where it has any (it may be sparse), and its manifest.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rustix::fs::SeekFrom;
use statify_elf::holes;
use statify_elf::{ElfError, ElfFile};
use statify_format::manifest::{Manifest, NOTE_NAME, NOTE_TYPE};
use statify_format::parameters::has_starter;

use crate::{Error, Result};

/// A regular file's bytes.
#[derive(Debug)]
pub struct MappedFile {
    /// The path that it was opened by.
    pub path: PathBuf,
    map: Option<Mmap>,
    /// Where it may have other bytes than zeros: ascending.
    pub extents: Vec<Range<u64>>,
    /// What it takes on its file system, in bytes.
    pub allocated: u64,
}

impl MappedFile {
    /// Opens a regular file; FIFOs, devices and directories are refused before they are opened.
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable = |source| Error::File(path.to_owned(), source);
        let not_regular = || unreadable(io::Error::other("it is not a regular file"));
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(not_regular());
        }
        // It may have been exchanged since.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let open = |more| OpenOptions::new().read(true).custom_flags(flags | more).open(path);
        let file = match open(libc::O_NOATIME) {
            // It is somebody else's.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => open(0),
            other => other,
        };
        let file = file.map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        let len = metadata.len();
        let map = match len {
            0 => None,
            // SAFETY: the bytes are only read as bytes; a file that shrinks meanwhile ends the process.
            _ => Some(unsafe { Mmap::map(&file) }.map_err(unreadable)?),
        };
        let extents = extents(&file, len);
        let allocated = metadata.blocks() * 512;
        Ok(Self { path: path.to_owned(), map, extents, allocated })
    }

    /// Refuses a file with far more holes than data.
    pub fn check_holes(&self) -> io::Result<()> {
        let data = self.extents.iter().map(|extent| extent.end - extent.start).sum();
        holes::judge(self.bytes().len() as u64, data)
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

/// The parts of a file that are no holes, as its file system tells (lseek(2), SEEK_DATA).
fn extents(file: &File, len: u64) -> Vec<Range<u64>> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < len {
        match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < len && start >= at => {
                let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(len);
                let end = end.clamp(start + 1, len);
                extents.push(start..end);
                at = end;
            }
            Err(rustix::io::Errno::NXIO) => break,
            _ => {
                extents.push(at..len);
                break;
            }
        }
    }
    extents
}

/// Why a file is not a converted one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConverted {
    /// It is no ELF file of this machine, or its headers are damaged.
    #[error("it is not a converted file: {0}")]
    Elf(#[from] ElfError),
    /// Without a manifest.
    #[error("it is not a converted file: it has no manifest (elfscan scan tells what it is)")]
    NoManifest,
    /// The starter is there, the manifest is not.
    #[error("it is a converted file, but damaged: it has no manifest")]
    ManifestGone,
    /// The manifest cannot be read.
    #[error("it is a converted file, but its manifest is damaged or of another version: {0}")]
    Manifest(String),
}

/// A converted file's headers and manifest.
#[derive(Clone, Debug)]
pub struct Converted<'a> {
    /// Its headers.
    pub elf: ElfFile<'a>,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl<'a> Converted<'a> {
    /// Reads bytes that may be anything.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NotConverted> {
        let elf = ElfFile::parse_known(bytes)?;
        let Some(bytes) = elf.note(NOTE_NAME, NOTE_TYPE) else {
            let gone = has_starter(&elf);
            return Err(if gone { NotConverted::ManifestGone } else { NotConverted::NoManifest });
        };
        let manifest = Manifest::from_bytes(bytes).map_err(NotConverted::Manifest)?;
        Ok(Self { elf, manifest })
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.elf.bytes()
    }

    /// ET_EXEC: places are addresses.
    pub fn is_fixed(&self) -> bool {
        self.elf.header().e_type == goblin::elf::header::ET_EXEC
    }

    /// Bytes of the file; `None` if it does not have them all.
    pub fn part(&self, range: Range<u64>) -> Option<&'a [u8]> {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        self.bytes().get(start..end)
    }
}

/// Reads an opened file.
pub fn read(file: &MappedFile) -> Result<Converted<'_>> {
    Converted::read(file.bytes()).map_err(|why| Error::NotConverted(file.path.clone(), why))
}

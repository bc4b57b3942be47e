//! What a module should look like: the bytes of its file, at the addresses that it gives them, and
//! which page of memory should be which page of which file.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;
use statify_elf::{ElfFile, page_down};
use statify_format::manifest::Memory;

use super::process::FileId;

/// The bytes of a file, or what stands for them.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// A whole file.
    Mapped(Arc<Mmap>),
    /// Put together from a converted file.
    Assembled(Arc<Vec<u8>>),
}

impl Bytes {
    /// All of them.
    pub fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Assembled(bytes) => bytes,
        }
    }
}

/// From where its pages come.
#[derive(Clone, Debug)]
pub enum Backing {
    /// From this file, as the program headers say; the file begins so many bytes from its start.
    Segments(FileId, u64),
    /// From a converted file.
    Converted(Embedded),
}

/// From where the pages of an embedded file come.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The converted file.
    pub output: FileId,
    /// Where its address 0 lies.
    pub base: u64,
    /// What it has of the embedded file.
    pub memory: Vec<Memory>,
    /// The embedded file itself, where the process has it mapped from the pool.
    pub pool: Vec<FileId>,
}

/// What a page is mapped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Where the module's pages belong, or no file at all.
    Own,
    /// The module's file in the pool.
    Pool,
    /// A file in which a module of a converted file has no pages.
    Other,
}

/// A module in the memory of a process, and what it should be.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its path, as it is to be shown.
    pub name: String,
    /// The bytes.
    pub bytes: Bytes,
    /// The part of them that is this module's file.
    pub window: Range<usize>,
    /// What is added to the file's addresses.
    pub bias: u64,
    /// From where its pages come.
    pub backing: Backing,
    /// Of a converted file: the addresses (before the bias) whose bytes are known.
    pub known: Option<Vec<Range<u64>>>,
    /// Of a converted file: the program headers as they are stored, and their address (before the bias).
    pub headers: Option<(u64, Vec<u8>)>,
    /// Of a converted file: what the starter writes (addresses before the bias); ascending.
    pub written: Option<Vec<Range<u64>>>,
    /// Of a converted file: the bias with which its pointers into itself are stored.
    pub stored_bias: Option<u64>,
}

impl Image {
    /// The file.
    pub fn contents(&self) -> &[u8] {
        self.bytes.all().get(self.window.clone()).unwrap_or_default()
    }

    /// Whether it is part of a converted file.
    pub fn is_embedded(&self) -> bool {
        matches!(self.backing, Backing::Converted(..))
    }

    /// What a page of the module's is mapped from, if this is the file. (A loader that loads files may take them from anywhere.)
    pub fn source(&self, file: Option<FileId>) -> Source {
        match (&self.backing, file) {
            (Backing::Converted(embedded), Some(file)) if file != embedded.output => {
                if embedded.pool.contains(&file) { Source::Pool } else { Source::Other }
            }
            _ => Source::Own,
        }
    }

    /// Whether the byte at this address (before the bias) is known.
    pub fn knows(&self, address: u64) -> bool {
        self.known.as_ref().is_none_or(|known| known.iter().any(|range| range.contains(&address)))
    }

    /// What is added at the start to an address of this module's that its bytes hold.
    pub fn bias_of_stored(&self) -> u64 {
        self.stored_bias.map_or(self.bias, |stored| self.bias.wrapping_sub(stored))
    }

    /// Which page of which file the page at this address (before the bias) is mapped from.
    pub fn page_of(&self, elf: &ElfFile<'_>, address: u64) -> Option<(FileId, u64)> {
        match &self.backing {
            Backing::Segments(file, start) => {
                let load = elf.loads().find(|load| {
                    let end = load.p_vaddr.saturating_add(load.p_filesz);
                    page_down(load.p_vaddr) <= address && address < end
                })?;
                let offset = page_down(load.p_offset) + (address - page_down(load.p_vaddr));
                Some((*file, start.checked_add(offset)?))
            }
            Backing::Converted(Embedded { output, base, memory, .. }) => {
                let at = address.wrapping_add(self.bias).wrapping_sub(*base);
                let part = memory.iter().find(|part| {
                    part.address <= at && at - part.address < part.size && part.stored_at.is_some()
                })?;
                Some((*output, part.stored_at?.checked_add(at - part.address)?))
            }
        }
    }
}

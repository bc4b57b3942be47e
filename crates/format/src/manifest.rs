//! The manifest: a note in the output that names every embedded file (compressed JSON in a PT_NOTE; gABI,
//! "Note Section"). It holds nothing of the machine but the embedded files' own paths.

use std::ops::Range;
use std::path::PathBuf;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::{Deserialize, Serialize};
use statify_elf::holes::LARGEST;
use statify_elf::{ElfFile, PAGE};

use crate::{HostLibs, Randomness, Seal};

/// The note's name, with its NUL.
pub const NOTE_NAME: &[u8] = b"statify\0";
/// The note's type. (1 was that of JSON as it is.)
pub const NOTE_TYPE: u32 = 3;
/// The most bytes that its JSON has: thousands of embedded files.
const MOST_JSON: usize = 64 << 20;
/// As small as it gets: there is little of it.
const LEVEL: u8 = 9;

/// What an output says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Manifest {
    /// The version of statify.
    pub version: String,
    /// The options that shape the output.
    pub options: Options,
    /// Embedded files: the program, its loader, its libraries in the order of their loading.
    pub files: Vec<EmbeddedFile>,
    /// Memory that the loader allocated, and what serves plugins.
    pub memory: Vec<Memory>,
    /// What the output has of the program's file that is not loaded; ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unloaded: Vec<Unloaded>,
}

/// Options of a conversion that show in its output.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Options {
    /// `--fixed`.
    pub fixed: bool,
    /// `--align`, in bytes.
    pub align: u64,
    /// `--aslr`; of no meaning with `--fixed`.
    pub aslr: Randomness,
    /// `--seal`.
    pub seal: Seal,
    /// Every symbol was bound at conversion; false where that is not possible, as one is missing that
    /// is never called.
    pub bound: bool,
    /// The CPUs it is for.
    pub cpu: CpuManifest,
    /// `--host-libs`.
    pub host_libs: HostLibs,
    /// `--strip`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip: bool,
    /// `--pool`: the directory in which the starter looks for libraries; absolute, without links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PathBuf>,
}

/// The CPUs that an output is for.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CpuManifest {
    /// The least: a level of the x86-64 psABI, or `native` for what the conversion's own has.
    pub least: String,
    /// What is prepared: levels, or one CPU's family, model and stepping (CPUID leaf 1, eax).
    pub prepared: Vec<String>,
    /// On a CPU that nothing is prepared for, everything is chosen at start, as the loader would;
    /// else the next lower level that is prepared is taken.
    pub chosen_at_start: bool,
}

/// What an embedded file is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// The program itself.
    Program,
    /// The loader that resolves what is opened at run time.
    Loader,
    /// Loaded from the start.
    Library,
    /// There for the program to open: a library, or data that the C library reads.
    Plugin,
}

/// An embedded file.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct EmbeddedFile {
    /// What it is for.
    pub kind: FileKind,
    /// Where it was.
    pub path: PathBuf,
    /// DT_SONAME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// The build-id note, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Its size, in bytes.
    pub size: u64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
    /// Where its first page lies in the output: a virtual address. What the file has at the virtual
    /// address `a` is found at `address + a - page_down(its first PT_LOAD's)`.
    pub address: u64,
    /// The address is absolute, in a position-independent output too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed: bool,
    /// Its memory; ascending.
    pub memory: Vec<Memory>,
    /// The starter maps pages of it from the pool, where it lies under the name of its SHA-256: what fs-verity says of it, in
    /// hexadecimal ([`crate::verity`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled: Option<String>,
    /// BLAKE3 of what the output holds of its memory (the stored bytes of `memory` one after the
    /// other, as they are before the starter writes its fix-ups), in hexadecimal.
    pub stored_blake3: String,
}

/// A run of pages of the output, alike in origin and permissions.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Memory {
    /// Its virtual address in the output.
    pub address: u64,
    /// In bytes.
    pub size: u64,
    /// PROT_READ, PROT_WRITE and PROT_EXEC at the hand-off, as in /proc/PID/maps: `r-x`.
    pub prot: String,
    /// The offset in the embedded file that its first byte was mapped from; none for memory that no
    /// file backs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_offset: Option<u64>,
    /// The offset in the output of its first byte; none if it is zero but for what the starter writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<u64>,
}

/// Bytes of the program's file that are not loaded: sections, or what lies behind everything.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Unloaded {
    /// The program's file offset of the first.
    pub file_offset: u64,
    /// In bytes.
    pub size: u64,
    /// The offset in the output of the first; none if the output ends with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<u64>,
    /// BLAKE3 of them, in hexadecimal.
    pub blake3: String,
}

impl Unloaded {
    /// The file offsets that they have in an output of `len` bytes; `None` if they do not fit.
    pub fn place(&self, len: u64) -> Option<Range<u64>> {
        let start = match self.stored_at {
            Some(start) => start,
            None => len.checked_sub(self.size)?,
        };
        let end = start.checked_add(self.size)?;
        (end <= len).then_some(start..end)
    }
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A note of statify's, whole.
pub fn note(kind: u32, contents: &[u8]) -> Vec<u8> {
    let mut note = Vec::with_capacity(contents.len() + 24);
    note.extend((NOTE_NAME.len() as u32).to_le_bytes());
    note.extend((contents.len() as u32).to_le_bytes());
    note.extend(kind.to_le_bytes());
    note.extend(NOTE_NAME);
    note.extend(contents);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// The length of such a note whose contents have `len` bytes.
pub fn note_len(len: usize) -> usize {
    12 + NOTE_NAME.len() + len.next_multiple_of(4)
}

impl Manifest {
    /// As JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers only")
    }

    /// Reads what [`Manifest::to_json`] wrote; `None` if it is nothing of the kind.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// As the note holds it: JSON in the zlib format (RFC 1950).
    pub fn to_bytes(&self) -> Vec<u8> {
        compress_to_vec_zlib(&self.to_json(), LEVEL)
    }

    /// Reads what [`Manifest::to_bytes`] wrote, or says why it is nothing of the kind.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let json = decompress_to_vec_zlib_with_limit(bytes, MOST_JSON);
        let json = json.map_err(|error| error.to_string())?;
        serde_json::from_slice(&json).map_err(|error| error.to_string())
    }

    /// The whole note.
    pub fn to_note(&self) -> Vec<u8> {
        note(NOTE_TYPE, &self.to_bytes())
    }

    /// All memory: of the embedded files, then of none.
    pub fn all_memory(&self) -> impl Iterator<Item = &Memory> {
        self.files.iter().flat_map(|file| &file.memory).chain(&self.memory)
    }

    /// The file offsets of what the output holds of its memory; ascending. `None` if they are not
    /// whole pages, some are two memories', or there is more of it than of any output: who reads it all
    /// would not come to an end.
    pub fn stored(&self) -> Option<Vec<Range<u64>>> {
        let range = |memory: &Memory| {
            memory.stored_at.map(|start| {
                let end = start.checked_add(memory.size)?;
                ((start | end) % PAGE == 0).then_some(start..end)
            })
        };
        let mut ranges = self.all_memory().filter_map(range).collect::<Option<Vec<_>>>()?;
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let apart = |pair: &[Range<u64>]| pair[0].end <= pair[1].start;
        let sum = ranges.iter().map(|range| range.end - range.start).fold(0, u64::saturating_add);
        (ranges.windows(2).all(apart) && sum <= LARGEST).then_some(ranges)
    }

    /// The file offsets of what an output of `len` bytes has that is not loaded; ascending. `None`
    /// if some lie outside of it, or some are twice.
    pub fn unloaded_at(&self, len: u64) -> Option<Vec<Range<u64>>> {
        let ranges = self.unloaded.iter().map(|part| part.place(len));
        let ranges = ranges.collect::<Option<Vec<_>>>()?;
        let apart = |pair: &[Range<u64>]| pair[0].end <= pair[1].start;
        ranges.windows(2).all(apart).then_some(ranges)
    }

    /// The manifest of an output; `None` if it has none that can be read.
    pub fn read(elf: &ElfFile<'_>) -> Option<Self> {
        Self::from_bytes(elf.note(NOTE_NAME, NOTE_TYPE)?).ok()
    }
}

//! An embedded file as a file again: its pages, as far as the output stores them, where the file had
//! them. What a loader reads is there, so that [`statify_elf::ElfFile::parse_any`] and what follows from it
//! (dynamic section, symbols, versions, relocations, notes) work on it.

use std::ops::Range;

use goblin::elf::dynamic;
use goblin::elf::header::ET_EXEC;
use goblin::elf::program_header::{PF_W, PT_DYNAMIC};
use statify_elf::{DynamicFacts, ElfFile, little_endian, page_down, page_up, word_mask};
use statify_format::manifest::{EmbeddedFile, FileKind, Memory};

/// The most that an image may have beyond what the output stores, in bytes: parts of the file that
/// are not loaded and lie before parts that are.
const MOST_GAPS: u64 = 1 << 30;
/// The most program headers that are believed; linkers write about a dozen.
const MOST_SEGMENTS: usize = 256;

const DT_TEXTREL: u64 = 22;
const DT_RELR: u64 = 36;
/// In DT_FLAGS.
const DF_TEXTREL: u64 = 4;

/// Tags whose value is an address in the file, as far as loaders replace it by one in memory
/// (glibc: elf/get-dynamic-info.h).
const ADDRESS_TAGS: &[u64] = &[
    dynamic::DT_HASH,
    dynamic::DT_PLTGOT,
    dynamic::DT_STRTAB,
    dynamic::DT_SYMTAB,
    dynamic::DT_RELA,
    dynamic::DT_REL,
    dynamic::DT_JMPREL,
    dynamic::DT_VERSYM,
    dynamic::DT_GNU_HASH,
    DT_RELR,
];

/// An embedded file, rebuilt.
#[derive(Clone, Debug)]
pub struct Module {
    /// What [`image`] says.
    pub image: Vec<u8>,
    /// Where its words point; `None` if it is not a module that is loaded (a plugin).
    pub addresses: Option<Addresses>,
    /// File offsets of pages that are the file's own, byte for byte; ascending.
    pub pristine: Vec<Range<u64>>,
}

/// The file that `file` describes, from the bytes of the whole `output`: of plugins the whole
/// file, of the other modules what is loaded of it, at the same file offsets, up to where the last
/// such part ends, and zeros between them. Words that were relocated are as the output stores them
/// (see [`Addresses`]), but for the dynamic section, which has the file's own addresses, and for
/// pages that a read-only segment shares.
///
/// `None` if the manifest contradicts itself or the output, or if the output has no ELF header
/// of a file that is loaded. Takes no more memory than the output has bytes, and 1 GiB of pages
/// that are never written.
pub fn image(output: &[u8], file: &EmbeddedFile) -> Option<Vec<u8>> {
    rebuild(output, file).map(|module| module.image)
}

/// The same, with what is known of its bytes.
pub fn rebuild(output: &[u8], file: &EmbeddedFile) -> Option<Module> {
    let stored = stored(output, file)?;
    // Pages of zeros are not stored.
    let backed =
        file.memory.iter().filter_map(|memory| memory.file_offset?.checked_add(memory.size));
    let len = backed.max()?.min(file.size);
    let total: u64 = stored.iter().map(|part| part.bytes.len() as u64).sum();
    if total > output.len() as u64 || len > total.saturating_add(MOST_GAPS) {
        return None;
    }
    let mut image = vec![0; usize::try_from(len).ok()?];
    // A page that two segments share stands twice in memory. What lies lower is what the file has,
    // further up it is data that was written to.
    for part in stored.iter().rev() {
        put(&mut image, part.file_offset, part.bytes);
    }
    if file.kind == FileKind::Plugin {
        return Some(Module {
            image,
            addresses: None,
            pristine: std::iter::once(0..len).collect(),
        });
    }
    let (table, addresses, word) = {
        let elf = ElfFile::parse_any(&image).ok()?;
        if elf.segments().len() > MOST_SEGMENTS {
            return None;
        }
        let dynamic = elf.segments().iter().find(|segment| segment.p_type == PT_DYNAMIC);
        let table = dynamic.map(|segment| (segment.p_offset, segment.p_filesz));
        (table, Addresses::of(output, file, &elf)?, elf.address_size())
    };
    if let Some((start, len)) = table {
        let end = start.saturating_add(len).min(image.len() as u64);
        let table = image.get_mut(usize::try_from(start).ok()?..end as usize)?;
        restore_dynamic(table, &addresses, word);
    }
    let pristine = pristine(&image);
    Some(Module { image, addresses: Some(addresses), pristine })
}

/// What words of a module's memory mean, as they stand in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The module's addresses in its file, page-rounded.
    pub span: Range<u64>,
    /// Where its first page lies in the output.
    pub address: u64,
    /// Pointers into it are stored as they are; else they count from its first page, whose address
    /// the starter adds.
    pub absolute: bool,
}

impl Addresses {
    /// Those of a module of `output`, whose headers `elf` has. `None` if nothing of it is loaded.
    pub fn of(output: &[u8], file: &EmbeddedFile, elf: &ElfFile<'_>) -> Option<Self> {
        let absolute = file.fixed || ElfFile::parse_known(output).ok()?.header().e_type == ET_EXEC;
        Some(Self { span: elf.span()?, address: file.address, absolute })
    }

    /// The address in the file of what the output has at this virtual address.
    pub fn in_file(&self, address: u64) -> u64 {
        address.wrapping_sub(self.address).wrapping_add(self.span.start)
    }

    /// The virtual address in the output of what the file has at this address.
    pub fn in_output(&self, address: u64) -> u64 {
        address.wrapping_sub(self.span.start).wrapping_add(self.address)
    }

    /// The address in the file that a stored pointer into this module stands for.
    pub fn pointer(&self, stored: u64) -> u64 {
        if self.absolute { self.in_file(stored) } else { stored.wrapping_add(self.span.start) }
    }
}

/// Memory of a file that the output stores.
struct Stored<'a> {
    /// In the embedded file.
    file_offset: u64,
    /// The virtual address in the output.
    address: u64,
    bytes: &'a [u8],
}

/// All of it that comes from the file; ascending by address.
fn stored<'a>(output: &'a [u8], file: &EmbeddedFile) -> Option<Vec<Stored<'a>>> {
    let part = |memory: &Memory| {
        let (Some(file_offset), Some(at)) = (memory.file_offset, memory.stored_at) else {
            return Some(None);
        };
        let end = usize::try_from(at.checked_add(memory.size)?).ok()?;
        let bytes = output.get(usize::try_from(at).ok()?..end)?;
        Some(Some(Stored { file_offset, address: memory.address, bytes }))
    };
    let stored = file.memory.iter().map(part).collect::<Option<Vec<_>>>()?;
    let mut stored: Vec<_> = stored.into_iter().flatten().collect();
    stored.sort_by_key(|part| part.address);
    Some(stored)
}

/// Copies bytes into the image, as far as they have room.
fn put(image: &mut [u8], offset: u64, bytes: &[u8]) {
    let room = usize::try_from(offset).ok().and_then(|offset| image.get_mut(offset..));
    if let Some(room) = room {
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
    }
}

/// Puts the file's own addresses into a dynamic section (with words of so many bytes, little-endian).
fn restore_dynamic(table: &mut [u8], addresses: &Addresses, word: usize) {
    for entry in table.chunks_exact_mut(2 * word) {
        let (tag, value) = entry.split_at_mut(word);
        let (tag, was) = (little_endian(tag), little_endian(value));
        let is = match tag {
            dynamic::DT_NULL => return,
            // Where the loader's list for debuggers lies.
            dynamic::DT_DEBUG => 0,
            _ if !ADDRESS_TAGS.contains(&tag) || addresses.span.contains(&was) => continue,
            _ => addresses.pointer(was) & word_mask(word as u64),
        };
        value.copy_from_slice(&is.to_le_bytes()[..word]);
    }
}

fn relocates_code(dynamic: &DynamicFacts<'_>) -> bool {
    let flags = dynamic.value(dynamic::DT_FLAGS).unwrap_or(0);
    flags & DF_TEXTREL != 0 || dynamic.value(DT_TEXTREL).is_some()
}

/// The pages of segments that nobody may write to, and that are not relocated.
fn pristine(image: &[u8]) -> Vec<Range<u64>> {
    let Ok(elf) = ElfFile::parse_any(image) else { return Vec::new() };
    let dynamic = elf.dynamic().ok().flatten();
    if dynamic.is_some_and(|dynamic| relocates_code(&dynamic)) {
        return Vec::new();
    }
    let constant = elf.loads().filter(|load| load.p_flags & PF_W == 0);
    let constant = constant.filter(|load| load.p_filesz > 0 && load.p_filesz == load.p_memsz);
    let mut ranges: Vec<_> = constant
        .map(|load| page_down(load.p_offset)..page_up(load.p_offset.saturating_add(load.p_filesz)))
        .collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

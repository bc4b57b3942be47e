//! What the modules of a converted program should look like, from its manifest and what it stores.
//!
//! Each module is put together again as it lies in memory. Pointers are stored relative to the module
//! that they point into (at fixed addresses in `--fixed` outputs), so that the loader's changes to the
//! module's dynamic section, a few pointers, can be taken back.

use std::ops::Range;
use std::sync::Arc;

use goblin::elf::dynamic;
use goblin::elf::program_header::{PT_DYNAMIC, ProgramHeader};
use statify_elf::encode::{self, Sizes};
use statify_elf::{ElfFile, little_endian, page_down, word_mask};
use statify_format::manifest::{EmbeddedFile, FileKind, Manifest, Memory};
use statify_format::parameters::Parameters;

use super::bases::Bases;
use super::image::{Backing, Bytes, Embedded, Image};
use super::pool::Pool;
use super::process::FileId;
use crate::converted::memory;
use crate::converted::open::Converted;
use crate::converted::places::Places;

/// The most that the modules of one file may take in memory, in bytes: far above any real one, as a
/// manifest may say anything.
const MOST: u64 = 4 << 30;

/// DT_RELR (gABI).
const DT_RELR: u64 = 36;
/// The tags whose values are addresses that glibc's loader relocates in memory.
pub const POINTERS: [u64; 12] = [
    dynamic::DT_HASH,
    dynamic::DT_GNU_HASH,
    dynamic::DT_PLTGOT,
    dynamic::DT_STRTAB,
    dynamic::DT_SYMTAB,
    dynamic::DT_RELA,
    dynamic::DT_REL,
    dynamic::DT_JMPREL,
    dynamic::DT_VERSYM,
    dynamic::DT_VERNEED,
    dynamic::DT_VERDEF,
    DT_RELR,
];

/// The modules of the converted file `output`, which lies at `bases`: program, loader, libraries.
/// `None` if the manifest is damaged: what it says is not in the file.
pub fn modules(
    output: &[u8],
    manifest: &Manifest,
    file: FileId,
    bases: &Bases,
    pool: &Pool<'_>,
) -> Option<Vec<Image>> {
    let mut left = MOST;
    let all = manifest.files.iter().enumerate();
    let embedded = all.filter(|(_, file)| file.kind != FileKind::Plugin);
    let written = Written::read(output, manifest);
    let assemble = |(index, part): (usize, &EmbeddedFile)| {
        let base = if part.fixed { 0 } else { bases.of(index) };
        let parts = Parts { output, written: written.as_ref() };
        let memory = part.memory.clone();
        let backing = Embedded { output: file, base, memory, pool: pool.of(index) };
        let (mut image, first) = parts.assemble(manifest, part, backing, &mut left)?;
        image.written = written.as_ref().and_then(|written| written.of(part, first));
        Some(image)
    };
    embedded.map(assemble).collect()
}

/// The plugin whose file lies at this offset of a converted file: its path and extent.
pub fn plugin_at(manifest: &Manifest, offset: u64) -> Option<(&EmbeddedFile, Range<u64>)> {
    let plugins = manifest.files.iter().filter(|file| file.kind == FileKind::Plugin);
    let mut stored = plugins.filter_map(|file| {
        let start = file.memory.first()?.stored_at?;
        Some((file, start..start.checked_add(file.size)?))
    });
    stored.find(|(_, range)| range.contains(&offset))
}

/// What modules are put together from.
struct Parts<'a> {
    output: &'a [u8],
    written: Option<&'a Written>,
}

impl Parts<'_> {
    /// The module, and its first address.
    fn assemble(
        &self,
        manifest: &Manifest,
        part: &EmbeddedFile,
        backing: Embedded,
        left: &mut u64,
    ) -> Option<(Image, u64)> {
        let (mut bytes, stored_ranges) = self.bytes(part, left)?;
        // The module's own file, as far as it is in memory: what the program headers say of the file
        // becomes what they say of addresses.
        let elf = ElfFile::parse_any(&bytes).ok()?;
        let first = page_down(elf.loads().map(|load| load.p_vaddr).min()?);
        let elf_bias = backing.base.wrapping_add(part.address).wrapping_sub(first);
        let stored_bias = match (part.fixed, manifest.options.fixed) {
            (true, _) => elf_bias,
            (false, true) => part.address.wrapping_sub(first),
            (false, false) => 0u64.wrapping_sub(first),
        };
        let headers = program_headers(&bytes, first);
        rewrite(&mut bytes, first, stored_bias)?;
        let known = stored_ranges.iter().map(|range| range.start + first..range.end + first);
        let window = 0..bytes.len();
        let image = Image {
            name: part.path.display().to_string(),
            known: Some(known.collect()),
            bytes: Bytes::Assembled(Arc::new(bytes)),
            window,
            bias: elf_bias,
            backing: Backing::Converted(backing),
            headers,
            written: None,
            stored_bias: Some(stored_bias),
        };
        Some((image, first))
    }

    /// The module's memory, and which of it is known: what is stored, with the words that the starter writes into it.
    fn bytes(&self, part: &EmbeddedFile, left: &mut u64) -> Option<(Vec<u8>, Vec<Range<u64>>)> {
        let end = part.memory.iter().filter(|memory| memory.stored_at.is_some());
        let end = end.map(|memory| memory.address.checked_add(memory.size)).max()??;
        let len = end.checked_sub(part.address)?;
        *left = left.checked_sub(len)?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        let mut stored_ranges = Vec::new();
        for piece in &part.memory {
            let Some(stored_at) = piece.stored_at else { continue };
            let from = usize::try_from(stored_at).ok()?;
            let to = usize::try_from(piece.address.checked_sub(part.address)?).ok()?;
            let len = usize::try_from(piece.size).ok()?;
            let source = self.output.get(from..from.checked_add(len)?)?;
            let memory = bytes.get_mut(to..to.checked_add(len)?)?;
            memory.copy_from_slice(source);
            stored_ranges.push(to as u64..(to + len) as u64);
            for (offset, value) in self.written.iter().flat_map(|all| all.constants(part, piece)) {
                let size = self.written.map_or(0, |written| written.word).min(8);
                let word = memory.get_mut(usize::try_from(offset).ok()?..)?.get_mut(..size)?;
                word.copy_from_slice(&value.to_le_bytes()[..size]);
            }
        }
        Some((bytes, stored_ranges))
    }
}

/// The program headers as they are stored, and their address.
fn program_headers(bytes: &[u8], first: u64) -> Option<(u64, Vec<u8>)> {
    let elf = ElfFile::parse_any(bytes).ok()?;
    let start = usize::try_from(elf.header().e_phoff).ok()?;
    let size = Sizes::of(elf.is_64()).program_header;
    let end = start.checked_add(elf.segments().len().checked_mul(size)?)?;
    Some((first.checked_add(start as u64)?, bytes.get(start..end)?.to_vec()))
}

/// What the starter writes: places and lengths, ascending.
struct Written {
    places: Places,
    words: Vec<(u64, u64)>,
    /// Places and values of words that the file does not have.
    constants: Vec<(u64, u64)>,
    /// The size of a word, in bytes.
    word: usize,
}

impl Written {
    /// `None` if its tables are damaged.
    fn read(output: &[u8], manifest: &Manifest) -> Option<Self> {
        let elf = ElfFile::parse_known(output).ok()?;
        let parameters = Parameters::read(&elf).ok()?;
        let places = Places::of(&Converted { elf, manifest: manifest.clone() });
        let sorted = |mut words: Vec<(u64, u64)>| {
            words.iter_mut().for_each(|(place, _)| *place = places.normal(*place));
            words.sort_unstable();
            words
        };
        let words = sorted(memory::writes(&parameters).ok()?);
        let constants = parameters
            .constants(parameters.params.constants)
            .map(|constant| (constant.at, constant.value));
        let constants = sorted(constants.collect());
        let word = parameters.word() as usize;
        Some(Self { words, constants, places, word })
    }

    /// The words that the file does not have of a piece of a file's memory: offsets in it, and values.
    fn constants(&self, part: &EmbeddedFile, piece: &Memory) -> impl Iterator<Item = (u64, u64)> {
        let here = self.places.of_memory(Some(part), piece);
        let from = self.constants.partition_point(|(place, _)| *place < here.start);
        let inside = self.constants[from..].iter().take_while(move |(place, _)| *place < here.end);
        inside.map(move |(place, value)| (place - here.start, *value))
    }

    /// Of one file, whose first address is `first`.
    fn of(&self, part: &EmbeddedFile, first: u64) -> Option<Vec<Range<u64>>> {
        let mut ranges = Vec::new();
        for piece in &part.memory {
            let here = self.places.of_memory(Some(part), piece);
            let address = piece.address.checked_sub(part.address)?.checked_add(first)?;
            let from = self.words.partition_point(|(place, _)| *place < here.start);
            let inside = self.words[from..].iter().take_while(|(place, _)| *place < here.end);
            ranges.extend(inside.map(|(place, len)| {
                let at = address.wrapping_add(place - here.start);
                at..at.saturating_add(*len)
            }));
        }
        ranges.sort_unstable_by_key(|range| range.start);
        Some(ranges)
    }
}

/// Makes file offsets of addresses, and addresses before any bias of the loader's pointers, which
/// are stored with `bias`. `bytes` begin with the address `first`.
fn rewrite(bytes: &mut [u8], first: u64, bias: u64) -> Option<()> {
    let elf = ElfFile::parse_any(bytes).ok()?;
    if !elf.is_little_endian() {
        return None;
    }
    let (is_64, word) = (elf.is_64(), elf.address_size());
    let (table, segments) = (usize::try_from(elf.header().e_phoff).ok()?, elf.segments().to_vec());
    let span = elf.span()?;
    let len = bytes.len() as u64;
    let size = Sizes::of(is_64).program_header;
    for (index, segment) in segments.into_iter().enumerate() {
        let Some(offset) = segment.p_vaddr.checked_sub(first) else { continue };
        let stored = segment.p_filesz.min(len.saturating_sub(offset));
        let is_dynamic = segment.p_type == PT_DYNAMIC;
        let header = ProgramHeader { p_offset: offset, p_filesz: stored, ..segment };
        let at = table.checked_add(index.checked_mul(size)?)?;
        let to = bytes.get_mut(at..at.checked_add(size)?)?;
        to.copy_from_slice(&encode::program_header(&header, is_64));
        if !is_dynamic {
            continue;
        }
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(stored).ok()?)?;
        for entry in bytes.get_mut(start..end)?.chunks_exact_mut(2 * word) {
            let (tag, value) = entry.split_at_mut(word);
            let (tag, there) = (little_endian(tag), little_endian(value));
            if !POINTERS.contains(&tag) || bias == 0 {
                continue;
            }
            // A loader that leaves the section alone (musl's) has it as the file has it.
            let before = there.wrapping_sub(bias) & word_mask(word as u64);
            if span.contains(&before) && !span.contains(&there) {
                value.copy_from_slice(&before.to_le_bytes()[..word]);
            }
        }
    }
    Some(())
}

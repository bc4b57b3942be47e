//! The output's build-id: a hash of all that is loaded. It stands for the file in core dumps and
//! profiles, as any build-id does, and tells whether the file is as it was written. Which page is
//! not, the pages' checksums tell, in a note behind the manifest.

use std::ops::Range;

use goblin::elf::note::NT_GNU_BUILD_ID;
use goblin::elf::program_header::PT_LOAD;
use sha2::{Digest, Sha256};
use statify_elf::{ElfFile, PAGE};

use crate::manifest::{Manifest, NOTE_NAME, NOTE_TYPE};
use crate::parallel::in_parallel;

/// In bytes: the most that perf and the kernel take.
pub const BUILD_ID: usize = 20;
/// Of the note, in bytes.
pub const NOTE: usize = 12 + 4 + BUILD_ID;

/// The type of the note, of the manifest's name, that holds the pages' checksums: for each page of
/// the file that is loaded, from its start on, its CRC-32 (the build-id counting as zeros). They are
/// no seal, which is the build-id's and the manifest's hashes'.
pub const PAGES_TYPE: u32 = 2;
/// Of a page's checksum, in bytes.
pub const CHECKSUM: usize = 4;
/// As many pages are one thread's at a time.
const PAGES_AT_ONCE: usize = 256;

/// The note, with an id of zeros.
pub fn empty_note() -> [u8; NOTE] {
    let mut note = [0; NOTE];
    note[..4].copy_from_slice(&4u32.to_le_bytes());
    note[4..8].copy_from_slice(&(BUILD_ID as u32).to_le_bytes());
    note[8..12].copy_from_slice(&NT_GNU_BUILD_ID.to_le_bytes());
    note[12..16].copy_from_slice(b"GNU\0");
    note
}

/// The build-id that an output must have: the first bytes of the SHA-256 of the headers and the
/// starter with its tables (the id itself counting as zeros), of the memory that belongs to no
/// embedded file, of the manifest, which holds the hashes of all other memory, of the pages'
/// checksums, and of the section headers. `None` if the file does not have these parts.
pub fn build_id(bytes: &[u8], elf: &ElfFile<'_>, manifest: &Manifest) -> Option<[u8; BUILD_ID]> {
    build_id_with(bytes, elf, manifest, elf.note(NOTE_NAME, PAGES_TYPE)?)
}

/// The same with other checksums of the pages than the file's.
pub fn build_id_with(
    bytes: &[u8],
    elf: &ElfFile<'_>,
    manifest: &Manifest,
    checksums: &[u8],
) -> Option<[u8; BUILD_ID]> {
    manifest.stored()?;
    let front = part(bytes, front(elf)?)?;
    let at = position(bytes, elf)?;
    let mut hash = Sha256::new();
    hash.update(front.get(..at)?);
    hash.update([0; BUILD_ID]);
    hash.update(front.get(at + BUILD_ID..)?);
    for memory in &manifest.memory {
        if let Some(offset) = memory.stored_at {
            hash.update(part(bytes, offset..offset.checked_add(memory.size)?)?);
        }
    }
    hash.update(elf.note(NOTE_NAME, NOTE_TYPE)?);
    hash.update(checksums);
    let (offset, size) = elf.section_table();
    hash.update(elf.range(offset, size)?);
    hash.finalize().first_chunk().copied()
}

/// The file offset of the build-id's first byte.
pub fn position(bytes: &[u8], elf: &ElfFile<'_>) -> Option<usize> {
    let id = elf.note(b"GNU\0", NT_GNU_BUILD_ID)?;
    (id.len() == BUILD_ID).then_some(offset_in(bytes, id)?)
}

/// The file offset of the first of the pages' checksums.
pub fn checksums_position(bytes: &[u8], elf: &ElfFile<'_>) -> Option<usize> {
    offset_in(bytes, elf.note(NOTE_NAME, PAGES_TYPE)?)
}

/// The file offsets of headers, tables and starter.
pub fn front(elf: &ElfFile<'_>) -> Option<Range<u64>> {
    let entry = elf.header().e_entry;
    let starter = elf.segments().iter().find(|segment| {
        segment.p_type == PT_LOAD
            && segment.p_vaddr <= entry
            && entry - segment.p_vaddr < segment.p_filesz
    })?;
    Some(0..starter.p_offset.checked_add(starter.p_filesz)?)
}

/// The file offsets of the pages that have checksums, in their order. `None` if the file does not
/// have them all.
pub fn pages(bytes: &[u8], elf: &ElfFile<'_>, manifest: &Manifest) -> Option<Vec<u64>> {
    let ranges = ranges(front(elf)?, manifest)?;
    let within = ranges.iter().all(|range| range.end <= bytes.len() as u64);
    within.then(|| ranges.into_iter().flat_map(|range| range.step_by(PAGE as usize)).collect())
}

/// The file offsets of what has checksums: `front`, and what is stored of memory; ascending.
pub fn ranges(front: Range<u64>, manifest: &Manifest) -> Option<Vec<Range<u64>>> {
    let mut ranges = vec![front];
    ranges.extend(manifest.stored()?);
    let apart = ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
    apart.then_some(ranges)
}

/// A page's checksum.
pub fn checksum(page: &[u8]) -> [u8; CHECKSUM] {
    crc32fast::hash(page).to_le_bytes()
}

/// The checksums of these pages, one after the other.
pub fn checksums(bytes: &[u8], elf: &ElfFile<'_>, pages: &[u64]) -> Vec<u8> {
    let id = position(bytes, elf);
    let some: Vec<&[u64]> = pages.chunks(PAGES_AT_ONCE).collect();
    let checksum = |&page: &u64| {
        let page = page as usize;
        let contents = bytes.get(page..bytes.len().min(page + PAGE as usize)).unwrap_or_default();
        let mut sum = crc32fast::Hasher::new();
        match id.and_then(|id| id.checked_sub(page)) {
            Some(at) if at.saturating_add(BUILD_ID) <= contents.len() => {
                sum.update(&contents[..at]);
                sum.update(&[0; BUILD_ID]);
                sum.update(&contents[at + BUILD_ID..]);
            }
            _ => sum.update(contents),
        }
        sum.finalize().to_le_bytes()
    };
    let sums = in_parallel(some.len(), |index| some[index].iter().flat_map(checksum).collect());
    sums.into_iter().flat_map(|sums: Vec<u8>| sums).collect()
}

fn part(bytes: &[u8], range: Range<u64>) -> Option<&[u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

/// Where `part`, a piece of `bytes`, begins.
fn offset_in(bytes: &[u8], part: &[u8]) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)
}

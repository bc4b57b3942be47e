//! The output's build-id: a hash of all that is loaded. It stands for the file in core dumps and
//! profiles, as any build-id does, and tells whether the file is as it was written. Which page is
//! not, sums of the pages' checksums tell, in a note behind the manifest: of so many pages, one that is damaged.

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

/// The type of the note, of the manifest's name, that holds the [`Sums`] of the pages of the file that are loaded, from its
/// start on. They find damage and prove nothing: that is for the build-id and the manifest's hashes.
pub const SUMS_TYPE: u32 = 4;
/// So many pages have sums together.
pub const SUMMED: usize = 64;
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
/// sums, and of the section headers. `None` if the file does not have these parts.
pub fn build_id(bytes: &[u8], elf: &ElfFile<'_>, manifest: &Manifest) -> Option<[u8; BUILD_ID]> {
    build_id_with(bytes, elf, manifest, elf.note(NOTE_NAME, SUMS_TYPE)?)
}

/// The same with other sums of the pages than the file's.
pub fn build_id_with(
    bytes: &[u8],
    elf: &ElfFile<'_>,
    manifest: &Manifest,
    sums: &[u8],
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
    hash.update(sums);
    let (offset, size) = elf.section_table();
    hash.update(elf.range(offset, size)?);
    hash.finalize().first_chunk().copied()
}

/// The file offset of the build-id's first byte.
pub fn position(bytes: &[u8], elf: &ElfFile<'_>) -> Option<usize> {
    let id = elf.note(b"GNU\0", NT_GNU_BUILD_ID)?;
    (id.len() == BUILD_ID).then_some(offset_in(bytes, id)?)
}

/// The file offset of the first of the pages' sums.
pub fn sums_position(bytes: &[u8], elf: &ElfFile<'_>) -> Option<usize> {
    offset_in(bytes, elf.note(NOTE_NAME, SUMS_TYPE)?)
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

/// A page's checksum: CRC-32, the build-id counting as zeros.
pub fn checksum(page: &[u8]) -> u32 {
    crc32fast::hash(page)
}

/// Sums of the checksums of pages one after the other: themselves, and each times its number among them, from 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    plain: u64,
    weighted: u64,
}

/// What is known of pages whose sums are not as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// This one is damaged, and none beside it.
    One(usize),
    /// Several are, or the sums.
    Several,
}

impl Sums {
    /// In the note, in bytes.
    pub const SIZE: usize = 16;

    /// Of at most [`SUMMED`] pages with these checksums.
    pub fn of(checksums: &[u32]) -> Self {
        // At most 2 to the power of 32 + 6 + 6: nothing is lost.
        checksums.iter().zip(1..).fold(Self::default(), |sums, (&checksum, number)| Self {
            plain: sums.plain + u64::from(checksum),
            weighted: sums.weighted + u64::from(checksum) * number,
        })
    }

    /// As the note holds them: little-endian, the plain sum first.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.plain.to_le_bytes());
        bytes[8..].copy_from_slice(&self.weighted.to_le_bytes());
        bytes
    }

    /// Reads what [`Sums::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        Self { plain: u64::from_le_bytes(words[0]), weighted: u64::from_le_bytes(words[1]) }
    }

    /// Which of `count` pages makes these sums of those `expected`; none if they are the same.
    pub fn damage(self, expected: Self, count: usize) -> Option<Damage> {
        let difference = |a: u64, b: u64| i128::from(a) - i128::from(b);
        let plain = difference(self.plain, expected.plain);
        let weighted = difference(self.weighted, expected.weighted);
        if (plain, weighted) == (0, 0) {
            return None;
        }
        let number = weighted.checked_div(plain).filter(|number| number * plain == weighted);
        let number = number.and_then(|number| usize::try_from(number).ok());
        let page = number.and_then(|number| number.checked_sub(1)).filter(|page| *page < count);
        Some(page.map_or(Damage::Several, Damage::One))
    }
}

/// The sums of pages with these checksums, as the note holds them.
pub fn sums(checksums: &[u32]) -> Vec<u8> {
    checksums.chunks(SUMMED).flat_map(|some| Sums::of(some).to_bytes()).collect()
}

/// The length of the note's contents for so many pages.
pub fn sums_len(pages: usize) -> usize {
    pages.div_ceil(SUMMED) * Sums::SIZE
}

/// The checksums of these pages, one after the other.
pub fn checksums(bytes: &[u8], elf: &ElfFile<'_>, pages: &[u64]) -> Vec<u32> {
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
        sum.finalize()
    };
    let sums = in_parallel(some.len(), |index| some[index].iter().map(checksum).collect());
    sums.into_iter().flat_map(|sums: Vec<u32>| sums).collect()
}

fn part(bytes: &[u8], range: Range<u64>) -> Option<&[u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

/// Where `part`, a piece of `bytes`, begins.
fn offset_in(bytes: &[u8], part: &[u8]) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_tell_the_one_page_that_is_damaged() {
        let right: Vec<u32> = (1..=64u32).map(|page| page.wrapping_mul(0x9e37_79b9)).collect();
        let expected = Sums::of(&right);
        assert_eq!(Sums::from_bytes(&expected.to_bytes()), expected);
        assert_eq!(Sums::of(&right).damage(expected, 64), None);
        for page in [0, 17, 63] {
            for other in [0, u32::MAX, right[page] ^ 1] {
                let mut wrong = right.clone();
                wrong[page] = other;
                assert_eq!(Sums::of(&wrong).damage(expected, 64), Some(Damage::One(page)));
            }
        }
        let mut wrong = right.clone();
        (wrong[3], wrong[40]) = (right[40], right[3]);
        assert_eq!(Sums::of(&wrong).damage(expected, 64), Some(Damage::Several));
    }
}

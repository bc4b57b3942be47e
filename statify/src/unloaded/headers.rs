//! The section headers of an output: the program's own, by the same indices and at the same addresses,
//! so that its symbols and DWARF, which are as they were, say what they said: who looks for an address
//! counts from where the program lies (dl_iterate_phdr(3)). What the headers lead to is where the output
//! has it.

use goblin::elf::section_header::{SHF_ALLOC, SHT_NOBITS, SHT_NULL, SectionHeader};
use statify_elf::{ElfFile, encode};
use statify_format::build_id;
use statify_format::manifest::Memory;

use super::{Part, Unloaded};

/// The section whose note is a file's build-id.
const BUILD_ID: &[u8] = b".note.gnu.build-id";

/// The program in an output.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    /// What is added to its addresses.
    pub bias: u64,
    /// Its memory; ascending.
    pub memory: &'a [Memory],
    /// The address and the file offset of the output's own build-id note.
    pub build_id: (u64, u64),
}

/// The bytes of the section headers of what is made of `program`.
pub fn section_headers(program: &[u8], unloaded: &Unloaded, place: &Embedding<'_>) -> Vec<u8> {
    let Ok(elf) = ElfFile::parse(program) else { return Vec::new() };
    let sections = &unloaded.sections;
    let header = |section: &SectionHeader| {
        let mut section = section.clone();
        if section.sh_type == SHT_NULL {
            return section;
        }
        if section.sh_flags & u64::from(SHF_ALLOC) == 0 {
            let moved = in_parts(&unloaded.parts, section.sh_offset, section.sh_size);
            section.sh_offset = moved.unwrap_or(section.sh_offset);
            return section;
        }
        if elf.section_name(sections, &section) == Some(BUILD_ID) {
            (section.sh_addr, section.sh_offset) = place.build_id;
            section.sh_size = build_id::NOTE as u64;
            return section;
        }
        let size = if section.sh_type == SHT_NOBITS { 0 } else { section.sh_size };
        match in_memory(place.memory, section.sh_addr.wrapping_add(place.bias), size) {
            Some(offset) => section.sh_offset = offset,
            None => (section.sh_type, section.sh_offset) = (SHT_NOBITS, 0),
        }
        section
    };
    let is_64 = elf.is_64();
    sections.iter().flat_map(|section| encode::section_header(&header(section), is_64)).collect()
}

/// Where the output has bytes of the program's file.
fn in_parts(parts: &[Part], offset: u64, size: u64) -> Option<u64> {
    let end = offset.checked_add(size)?;
    let whole =
        |part: &&Part| part.at.is_some() && part.range.start <= offset && end <= part.range.end;
    let part = parts.iter().rev().find(whole)?;
    Some(part.at? + (offset - part.range.start))
}

/// Where the output has what is at these addresses, if it lies there in one piece.
fn in_memory(memory: &[Memory], address: u64, size: u64) -> Option<u64> {
    let first = memory.partition_point(|memory| memory.address + memory.size <= address);
    let mut own = memory[first..].iter().peekable();
    let start = own.peek().filter(|memory| memory.address <= address)?;
    let at = start.stored_at? + (address - start.address);
    let end = address.checked_add(size)?;
    let mut next = start.address;
    for memory in own {
        let follows = memory.stored_at == Some((at + memory.address).wrapping_sub(address));
        if memory.address != next || !follows {
            return None;
        }
        next = memory.address + memory.size;
        if end <= next {
            return Some(at);
        }
    }
    None
}

//! Section headers for a module that has lost its own: from its program headers, its dynamic section
//! and its code. Symbols say in which section they are by its index, so the sections get the
//! indices that the file's symbols say.

mod gaps;
mod indices;
mod loaded;
mod tags;

use goblin::elf::program_header::{
    PT_DYNAMIC, PT_GNU_EH_FRAME, PT_INTERP, PT_LOAD, PT_NOTE, PT_TLS, ProgramHeader,
};
use goblin::elf::section_header::{
    SHF_ALLOC, SHF_TLS, SHF_WRITE, SHT_DYNAMIC, SHT_NOBITS, SHT_NOTE, SHT_PROGBITS,
};
use goblin::elf::sym::STT_TLS;
use statify_elf::{DynamicFacts, ElfFile, Symbol};

use super::frames;
use super::table::{Section, SectionTable};
use indices::{SHN_LORESERVE, is_thread_local};
use loaded::section;

/// The sections of a module.
pub fn sections(elf: &ElfFile<'_>) -> SectionTable {
    let facts = elf.dynamic().ok().flatten();
    let mut known = of_segments(elf);
    if let Some(facts) = &facts {
        known.extend(tags::of_tags(elf, facts));
        let parts = elf.machine().map(|machine| machine.code_parts(elf, facts));
        known.extend(parts.into_iter().flatten().filter_map(|part| {
            let size = part.range.end - part.range.start;
            let mut section = section(elf, part.name, SHT_PROGBITS, part.range.start, size, 16)?;
            section.entry = part.entry;
            Some(section)
        }));
    }
    let symbols: Vec<Symbol> = facts.iter().flat_map(|facts| located(elf, facts)).collect();
    let mut sections = without_overlaps(known);
    let rest = gaps::gaps(elf, facts.as_ref(), &sections, &symbols);
    sections.extend(rest);
    sections.extend(zeros(elf));
    sections.sort_by_key(|section| (section.address, !is_thread_local(section)));
    indices::number(sections, &symbols)
}

/// Defined symbols that are in a section, ascending, thread-local ones at their addresses in the template.
fn located(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Vec<Symbol> {
    let template = elf.segments().iter().find(|segment| segment.p_type == PT_TLS);
    let template = template.map_or(0, |segment| segment.p_vaddr);
    let symbols = facts.symbols();
    let is_located = |symbol: &Symbol| symbol.is_defined() && symbol.section < SHN_LORESERVE;
    let mut symbols: Vec<_> = symbols.iter().filter(is_located).collect();
    for symbol in symbols.iter_mut().filter(|symbol| symbol.kind() == STT_TLS) {
        symbol.value = symbol.value.wrapping_add(template);
    }
    symbols.sort_by_key(|symbol| symbol.value);
    symbols
}

/// Those that are segments of their own.
fn of_segments(elf: &ElfFile<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    let word = elf.address_size() as u64;
    for segment in elf.segments() {
        let (name, kind, align, entry) = match segment.p_type {
            PT_INTERP => (".interp", SHT_PROGBITS, 1, 0),
            PT_DYNAMIC => (".dynamic", SHT_DYNAMIC, word, 2 * word),
            PT_GNU_EH_FRAME => (".eh_frame_hdr", SHT_PROGBITS, 4, 0),
            PT_NOTE => (note_name(elf, segment), SHT_NOTE, segment.p_align.clamp(4, 8), 0),
            PT_TLS if segment.p_filesz > 0 => (".tdata", SHT_PROGBITS, segment.p_align.max(1), 0),
            _ => continue,
        };
        let made = section(elf, name, kind, segment.p_vaddr, segment.p_filesz, align);
        let Some(mut made) = made.filter(|made| made.size > 0) else { continue };
        made.entry = entry;
        match segment.p_type {
            PT_DYNAMIC => made.link = Some(".dynstr"),
            PT_TLS => made.flags |= u64::from(SHF_TLS),
            _ => {}
        }
        sections.push(made);
    }
    if let Some(frames) = frames::find(elf) {
        let size = frames.bytes.len() as u64;
        sections.extend(section(elf, ".eh_frame", SHT_PROGBITS, frames.address, size, word));
    }
    sections
}

fn note_name(elf: &ElfFile<'_>, segment: &ProgramHeader) -> &'static str {
    const BUILD_ID: u32 = 3;
    const PROPERTY: u32 = 5;
    let bytes = elf.contents(segment).unwrap_or_default();
    // namesz, descsz, type, name.
    let kind = bytes.get(8..12).map(|kind| elf.word(kind));
    match kind {
        Some(BUILD_ID) => ".note.gnu.build-id",
        Some(PROPERTY) => ".note.gnu.property",
        _ => ".note.ABI-tag",
    }
}

/// In order; of those that overlap, the first.
fn without_overlaps(mut sections: Vec<Section>) -> Vec<Section> {
    sections.sort_by_key(|section| section.address);
    let mut apart: Vec<Section> = Vec::new();
    for section in sections {
        if apart.last().is_none_or(|last| last.end() <= section.address) {
            apart.push(section);
        }
    }
    apart
}

/// Memory that is zero at first.
fn zeros(elf: &ElfFile<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    for segment in elf.segments() {
        let name = match segment.p_type {
            PT_LOAD => ".bss",
            PT_TLS => ".tbss",
            _ => continue,
        };
        let size = segment.p_memsz.saturating_sub(segment.p_filesz);
        let (address, offset) = (
            segment.p_vaddr.saturating_add(segment.p_filesz),
            segment.p_offset.saturating_add(segment.p_filesz),
        );
        if size == 0 || address.checked_add(size).is_none() {
            continue;
        }
        let tls = if segment.p_type == PT_TLS { SHF_TLS } else { 0 };
        sections.push(Section {
            name: name.into(),
            kind: SHT_NOBITS,
            flags: u64::from(SHF_ALLOC | SHF_WRITE | tls),
            address,
            offset,
            size,
            link: None,
            info: 0,
            align: 1,
            entry: 0,
        });
    }
    sections
}

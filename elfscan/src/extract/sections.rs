//! Section headers for a module that has lost its own: from its program headers, its dynamic section
//! and its code. Symbols say in which section they are by its index, so the sections get the
//! indices that the file's symbols say.

use std::collections::{BTreeMap, HashMap};

use goblin::elf::dynamic;
use goblin::elf::program_header::{
    PF_W, PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_INTERP, PT_LOAD, PT_NOTE, PT_TLS, ProgramHeader,
};
use goblin::elf::section_header::{
    SHF_ALLOC, SHF_EXECINSTR, SHF_INFO_LINK, SHF_TLS, SHF_WRITE, SHT_DYNAMIC, SHT_DYNSYM,
    SHT_FINI_ARRAY, SHT_GNU_HASH, SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_GNU_VERSYM, SHT_HASH,
    SHT_INIT_ARRAY, SHT_NOBITS, SHT_NOTE, SHT_PREINIT_ARRAY, SHT_PROGBITS, SHT_RELA, SHT_STRTAB,
};
use goblin::elf::sym::STT_TLS;
use statify::elf::{DynamicFacts, ElfFile, Symbol};

use super::frames;
use super::table::{Section, SectionTable};
use crate::arch::x86_64 as arch;

const SHT_RELR: u32 = 19;
const DT_RELR: u64 = 36;
const DT_RELRSZ: u64 = 35;
/// From here on, a symbol's section index has another meaning.
const SHN_LORESERVE: u16 = 0xff00;

/// The sections of a module.
pub fn sections(elf: &ElfFile<'_>) -> SectionTable {
    let facts = elf.dynamic().ok().flatten();
    let mut known = of_segments(elf);
    if let Some(facts) = &facts {
        known.extend(of_tags(elf, facts));
        known.extend(arch::code_parts(elf, facts).into_iter().filter_map(|part| {
            let size = part.range.end - part.range.start;
            let mut section = section(elf, part.name, SHT_PROGBITS, part.range.start, size, 16)?;
            section.entry = part.entry;
            Some(section)
        }));
    }
    let symbols: Vec<Symbol> = facts.iter().flat_map(|facts| located(elf, facts)).collect();
    let mut sections = without_overlaps(known);
    let rest = gaps(elf, facts.as_ref(), &sections, &symbols);
    sections.extend(rest);
    sections.extend(zeros(elf));
    sections.sort_by_key(|section| (section.address, !is_thread_local(section)));
    number(sections, &symbols)
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

/// A section of what is loaded from the file, flagged as its segment is; `None` if it is not in one.
fn section(
    elf: &ElfFile<'_>,
    name: &str,
    kind: u32,
    address: u64,
    size: u64,
    align: u64,
) -> Option<Section> {
    let load = elf.loads().find(|load| {
        let offset = address.checked_sub(load.p_vaddr);
        offset
            .and_then(|offset| load.p_filesz.checked_sub(offset))
            .is_some_and(|room| room > 0 && size <= room)
    })?;
    let offset = load.p_offset.checked_add(address - load.p_vaddr)?;
    let align = if address.is_multiple_of(align) { align } else { 1 };
    let flags = flags(load);
    let name = name.to_owned();
    Some(Section { name, kind, flags, address, offset, size, link: None, info: 0, align, entry: 0 })
}

fn flags(load: &ProgramHeader) -> u64 {
    let write = if load.p_flags & PF_W != 0 { SHF_WRITE } else { 0 };
    let execute = if load.p_flags & PF_X != 0 { SHF_EXECINSTR } else { 0 };
    u64::from(SHF_ALLOC | write | execute)
}

/// Those that are segments of their own.
fn of_segments(elf: &ElfFile<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    for segment in elf.segments() {
        let (name, kind, align, entry) = match segment.p_type {
            PT_INTERP => (".interp", SHT_PROGBITS, 1, 0),
            PT_DYNAMIC => (".dynamic", SHT_DYNAMIC, 8, 16),
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
        sections.extend(section(elf, ".eh_frame", SHT_PROGBITS, frames.address, size, 8));
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

/// Those that the dynamic section leads to.
fn of_tags(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add =
        |name, kind, address: Option<u64>, size: Option<u64>, align, entry, link, info| {
            let made = address.zip(size).filter(|(_, size)| *size > 0);
            let made =
                made.and_then(|(address, size)| section(elf, name, kind, address, size, align));
            if let Some(mut made) = made {
                (made.entry, made.link, made.info) = (entry, link, info);
                if kind == SHT_RELA && link.is_some() && info != 0 {
                    made.flags |= u64::from(SHF_INFO_LINK);
                }
                sections.push(made);
            }
        };
    let symbols = facts.symbols();
    let count = u64::from(symbols.len());
    let locals = (0..symbols.len())
        .find(|&index| index > 0 && symbols.get(index).is_some_and(|symbol| symbol.binding() != 0));
    let value = |tag| facts.value(tag);
    let strings = Some(".dynstr");
    let table = Some(".dynsym");
    let first = locals.unwrap_or(symbols.len());
    add(".dynsym", SHT_DYNSYM, value(dynamic::DT_SYMTAB), Some(24 * count), 8, 24, strings, first);
    let size = value(dynamic::DT_STRSZ);
    add(".dynstr", SHT_STRTAB, value(dynamic::DT_STRTAB), size, 1, 0, None, 0);
    let hash = value(dynamic::DT_HASH);
    let size = hash
        .and_then(|at| elf.at(at, 8))
        .map(|head| 4 * (2 + u64::from(elf.word(head)) + u64::from(elf.word(&head[4..]))));
    add(".hash", SHT_HASH, hash, size, 8, 4, table, 0);
    let hash = value(dynamic::DT_GNU_HASH);
    let size = hash.and_then(|at| gnu_hash_size(elf, at, count));
    add(".gnu.hash", SHT_GNU_HASH, hash, size, 8, 0, table, 0);
    let versions = value(dynamic::DT_VERSYM);
    add(".gnu.version", SHT_GNU_VERSYM, versions, Some(2 * count), 2, 2, table, 0);
    for (name, kind, tag, count) in [
        (".gnu.version_d", SHT_GNU_VERDEF, dynamic::DT_VERDEF, dynamic::DT_VERDEFNUM),
        (".gnu.version_r", SHT_GNU_VERNEED, dynamic::DT_VERNEED, dynamic::DT_VERNEEDNUM),
    ] {
        let size = value(tag).and_then(|at| records(elf, kind, at));
        add(name, kind, value(tag), size, 8, 0, strings, value(count).unwrap_or(0) as u32);
    }
    for (name, kind, tag, size, entry, link) in [
        (".rela.dyn", SHT_RELA, dynamic::DT_RELA, dynamic::DT_RELASZ, 24, table),
        (".rela.plt", SHT_RELA, dynamic::DT_JMPREL, dynamic::DT_PLTRELSZ, 24, table),
        (".relr.dyn", SHT_RELR, DT_RELR, DT_RELRSZ, 8, None),
    ] {
        add(name, kind, value(tag), value(size), 8, entry, link, 0);
    }
    for (name, kind, tag, size) in [
        (
            ".preinit_array",
            SHT_PREINIT_ARRAY,
            dynamic::DT_PREINIT_ARRAY,
            dynamic::DT_PREINIT_ARRAYSZ,
        ),
        (".init_array", SHT_INIT_ARRAY, dynamic::DT_INIT_ARRAY, dynamic::DT_INIT_ARRAYSZ),
        (".fini_array", SHT_FINI_ARRAY, dynamic::DT_FINI_ARRAY, dynamic::DT_FINI_ARRAYSZ),
    ] {
        add(name, kind, value(tag), value(size), 8, 8, None, 0);
    }
    // What lazy binding writes: .got.plt, or the end of .got if that has it.
    if let Some(slots) = facts.jump_slots() {
        let all = facts.plt_relocations().map(|entry| entry.at.saturating_add(8));
        let end = all.filter(|&end| end > slots.start).max().unwrap_or(slots.end);
        let start = value(dynamic::DT_PLTGOT).filter(|got| *got <= slots.start);
        let start = start.unwrap_or(slots.start);
        let size = end.checked_sub(start);
        add(".got.plt", SHT_PROGBITS, Some(start), size, 8, 8, None, 0);
    }
    sections
}

/// The size of a DT_GNU_HASH, in bytes, for so many symbols.
fn gnu_hash_size(elf: &ElfFile<'_>, at: u64, symbols: u64) -> Option<u64> {
    let table = elf.from(at)?;
    let number = |at: usize| table.get(at..at.checked_add(4)?).map(|word| elf.word(word));
    let (buckets, first, filter) = (number(0)?, number(4)?, number(8)?);
    let heads = 16 + 8 * u64::from(filter);
    let chains = heads + 4 * u64::from(buckets);
    let heads = table.get(usize::try_from(heads).ok()?..usize::try_from(chains).ok()?)?;
    // Symbols that are not defined here may lie behind the first, but no bucket leads to them.
    let is_empty = heads.chunks_exact(4).all(|head| elf.word(head) == 0);
    Some(chains + if is_empty { 0 } else { 4 * symbols.saturating_sub(first.into()) })
}

/// The size of a list of version records: each tells where the next one and its parts are.
fn records(elf: &ElfFile<'_>, kind: u32, at: u64) -> Option<u64> {
    let bytes = elf.from(at)?;
    // Elfxx_Verdef: count at 6, aux at 12, next at 16, 20 bytes. Elfxx_Verneed: 2, 8, 12, 16.
    let (count_at, aux_at, next_at, len, next_aux_at, aux_len) =
        if kind == SHT_GNU_VERDEF { (6, 12, 16, 20, 4, 8) } else { (2, 8, 12, 16, 12, 16) };
    let (mut record, mut end) = (0usize, 0usize);
    // Lists that lie may lead to a part any number of times.
    let mut room = bytes.len();
    loop {
        let head = bytes.get(record..record.checked_add(len)?)?;
        end = end.max(record + len);
        let mut aux = record.checked_add(elf.word(&head[aux_at..]) as usize)?;
        for _ in 0..elf.half(&head[count_at..]) {
            room = room.checked_sub(aux_len)?;
            let entry = bytes.get(aux..aux.checked_add(aux_len)?)?;
            end = end.max(aux + aux_len);
            match elf.word(&entry[next_aux_at..]) {
                0 => break,
                next => aux = aux.checked_add(next as usize)?,
            }
        }
        match elf.word(&head[next_at..]) {
            0 => return Some(end as u64),
            next => record = record.checked_add(next as usize)?,
        }
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

/// What lies between them: code, constants, data, cut where the symbols' sections change.
fn gaps(
    elf: &ElfFile<'_>,
    facts: Option<&DynamicFacts<'_>>,
    known: &[Section],
    symbols: &[Symbol],
) -> Vec<Section> {
    let mut gaps = Vec::new();
    let table = elf.header_table_address();
    let headers = table.map(|at| at.saturating_add((elf.segments().len() * 56) as u64));
    let is_got = |address: u64| {
        known.iter().any(|section| section.name == ".dynamic" && section.end() == address)
    };
    for load in elf.loads() {
        let end = load.p_vaddr.saturating_add(load.p_filesz);
        let mut at = load.p_vaddr;
        // The ELF header and the program headers are in no section.
        if let Some(headers) = headers.filter(|headers| (load.p_vaddr..end).contains(headers)) {
            at = headers;
        }
        let within = known.iter().filter(|section| (load.p_vaddr..end).contains(&section.address));
        let stops = within.map(|section| (section.address, section.end()));
        for (stop, next) in stops.chain([(end, end)]) {
            if stop > at {
                let name = match (load.p_flags & PF_X != 0, load.p_flags & PF_W != 0) {
                    (true, _) => ".text",
                    (_, true) if is_got(at) && facts.is_some() => ".got",
                    (_, true)
                        if stop < end
                            && !known.iter().any(|s| s.name == ".dynamic" && s.end() <= at) =>
                    {
                        ".data.rel.ro"
                    }
                    (_, true) => ".data",
                    _ => ".rodata",
                };
                gaps.extend(cut(elf, name, at, stop, symbols));
            }
            at = at.max(next);
        }
    }
    name_apart(gaps)
}

/// One gap: without the padding in front, and in as many parts as its symbols tell of.
fn cut(elf: &ElfFile<'_>, name: &str, start: u64, end: u64, symbols: &[Symbol]) -> Vec<Section> {
    let Some(bytes) = elf.at(start, end - start) else { return Vec::new() };
    let align = if name == ".text" { 16 } else { 8 };
    // Zeros may be data, in sections that are written to.
    let is_padding = matches!(name, ".text" | ".rodata");
    let first = bytes.iter().position(|&byte| byte != 0 || !is_padding);
    let Some(first) = first else { return Vec::new() };
    let unpadded = (start + first as u64) & !(align - 1);
    let start = if is_padding { unpadded.max(start) } else { start };
    let from = symbols.partition_point(|symbol| symbol.value < start);
    let within = symbols[from..].iter().take_while(|symbol| symbol.value < end);
    let mut cuts = vec![start];
    let mut last: Option<&Symbol> = None;
    for symbol in within.filter(|symbol| symbol.size > 0 && symbol.kind() != STT_TLS) {
        if last.is_some_and(|last| last.section < symbol.section) {
            cuts.push(symbol.value);
        }
        if last.is_none_or(|last| last.section <= symbol.section) {
            last = Some(symbol);
        }
    }
    cuts.push(end);
    let parts = cuts.windows(2).filter(|pair| pair[0] < pair[1]);
    parts
        .filter_map(|pair| section(elf, name, SHT_PROGBITS, pair[0], pair[1] - pair[0], align))
        .collect()
}

fn is_thread_local(section: &Section) -> bool {
    section.flags & u64::from(SHF_TLS) != 0
}

/// The largest of a name keeps it, the others get numbers.
fn name_apart(mut sections: Vec<Section>) -> Vec<Section> {
    let mut largest: HashMap<String, u64> = HashMap::new();
    for section in &sections {
        let size = largest.entry(section.name.clone()).or_default();
        *size = section.size.max(*size);
    }
    let mut numbers: HashMap<String, u32> = HashMap::new();
    for section in &mut sections {
        let largest = largest.get_mut(&section.name);
        if largest.as_deref() == Some(&section.size) {
            // Once only.
            largest.into_iter().for_each(|size| *size = u64::MAX);
        } else {
            let number = numbers.entry(section.name.clone()).or_default();
            *number += 1;
            section.name = format!("{}.{number}", section.name);
        }
    }
    sections
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

/// Gives each section the index that the symbols in it say, and the others one between them.
fn number(sections: Vec<Section>, symbols: &[Symbol]) -> SectionTable {
    let mut table = SectionTable::default();
    let said = votes(&sections, symbols);
    let mut rest = Vec::new();
    let mut next = 1;
    for (place, section) in sections.into_iter().enumerate() {
        let bound = said.range(place..).next().map(|(_, index)| *index);
        let index = match said.get(&place) {
            Some(index) => *index,
            None if bound.is_none_or(|bound| next < bound) => next,
            None => {
                rest.push(section);
                continue;
            }
        };
        next = index.saturating_add(1);
        table.insert(index, section);
    }
    for section in rest {
        let end = table.end();
        if end < SHN_LORESERVE - 1 {
            table.insert(end, section);
        }
    }
    add_empty(&mut table, symbols);
    table
}

/// Adds sections of which nothing but the end is known, by a symbol like `_edata`.
fn add_empty(table: &mut SectionTable, symbols: &[Symbol]) {
    const MOST: usize = 16;
    let missing: BTreeMap<u16, u64> = symbols
        .iter()
        .filter(|symbol| table.is_free(symbol.section) && symbol.kind() != STT_TLS)
        .map(|symbol| (symbol.section, symbol.value))
        .collect();
    for (index, address) in missing.into_iter().take(MOST) {
        if let Some(section) = table.touching(address) {
            let offset = section.offset.saturating_add(address - section.address);
            let name = format!("{}.end", section.name);
            let empty = Section { name, address, offset, size: 0, ..section.clone() };
            table.insert(index, empty);
        }
    }
}

/// By a section's place in the list, the index that most of its symbols say; ascending, as
/// linkers number sections by address.
fn votes(sections: &[Section], symbols: &[Symbol]) -> BTreeMap<usize, u16> {
    let mut said = BTreeMap::new();
    let mut least = 1;
    for (place, section) in sections.iter().enumerate() {
        let is_local = is_thread_local(section);
        let alike = |symbol: &&Symbol| (symbol.kind() == STT_TLS) == is_local;
        let from = symbols.partition_point(|symbol| symbol.value < section.address);
        let within = symbols[from..].iter().take_while(|symbol| symbol.value < section.end());
        let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
        for symbol in within.filter(alike) {
            *counts.entry(symbol.section).or_default() += 1;
        }
        let next = sections[place + 1..].iter().find(|next| !is_thread_local(next));
        if counts.is_empty() && next.is_some_and(|next| next.kind == SHT_NOBITS) {
            // `_edata` is in the section that it ends.
            let ends = symbols.iter().filter(|symbol| symbol.value == section.end());
            let least = ends.filter(alike).map(|symbol| symbol.section).min();
            counts.extend(least.map(|index| (index, 1)));
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(index, _)| index);
        if let Some(index) = most.filter(|index| *index >= least) {
            least = index.saturating_add(1);
            said.insert(place, index);
        }
    }
    said
}

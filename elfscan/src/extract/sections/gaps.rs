//! What no header leads to: the room between the sections that are known, named by its permissions.

use std::collections::HashMap;

use goblin::elf::program_header::{PF_W, PF_X, ProgramHeader};
use goblin::elf::section_header::SHT_PROGBITS;
use goblin::elf::sym::{STT_FUNC, STT_TLS};
use statify_elf::encode::Sizes;
use statify_elf::{DynamicFacts, ElfFile, Symbol};

use super::super::frames;
use super::super::table::Section;
use super::loaded::{is_code, section};

/// What lies between them: code, constants, data, cut where the symbols' sections change.
pub(super) fn gaps(
    elf: &ElfFile<'_>,
    facts: Option<&DynamicFacts<'_>>,
    known: &[Section],
    symbols: &[Symbol],
) -> Vec<Section> {
    let mut gaps = Vec::new();
    let table = elf.header_table_address();
    let size = Sizes::of(elf.is_64()).program_header;
    let headers = table.map(|at| at.saturating_add((elf.segments().len() * size) as u64));
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
        let code =
            if load.p_flags & PF_X != 0 { end_of_code(elf, load, known, symbols) } else { at };
        for (stop, next) in stops.chain([(end, end)]) {
            if stop > at {
                let name = match (load.p_flags & PF_X != 0, load.p_flags & PF_W != 0) {
                    (true, _) if at < code => ".text",
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
                // Constants lie behind the code where both are in one segment.
                let middle = if name == ".text" { code.min(stop) } else { stop };
                gaps.extend(cut(elf, name, at, middle, symbols));
                gaps.extend(cut(elf, ".rodata", middle, stop, symbols));
            }
            at = at.max(next);
        }
    }
    name_apart(gaps)
}

/// Where the code of a segment ends, as far as sections, symbols and what unwinders know of functions tell; behind all of it
/// where neither the last section of code nor functions are known.
fn end_of_code(
    elf: &ElfFile<'_>,
    load: &ProgramHeader,
    known: &[Section],
    symbols: &[Symbol],
) -> u64 {
    let end = load.p_vaddr.saturating_add(load.p_filesz);
    let is_here = |address: &u64| (load.p_vaddr..end).contains(address);
    let sections = known.iter().filter(|section| is_code(&section.name));
    let is_last = |section: &Section| section.name == ".fini";
    let entries = frames::find(elf).map(|frames| frames::read(&frames)).unwrap_or_default();
    if entries.frames.is_empty() && !sections.clone().any(is_last) {
        return u64::MAX;
    }
    let functions = symbols.iter().filter(|symbol| symbol.kind() == STT_FUNC);
    let ranges = (sections.map(|section| (section.address, section.size)))
        .chain(functions.map(|symbol| (symbol.value, symbol.size)))
        .chain(entries.frames.iter().map(|frame| (frame.start, frame.len)));
    let ends = ranges.filter(|(start, _)| is_here(start));
    ends.map(|(start, len)| start.saturating_add(len)).max().unwrap_or(u64::MAX)
}

/// One gap: without the padding in front, and in as many parts as its symbols tell of.
fn cut(elf: &ElfFile<'_>, name: &str, start: u64, end: u64, symbols: &[Symbol]) -> Vec<Section> {
    let Some(bytes) = elf.at(start, end - start) else { return Vec::new() };
    let align = if name == ".text" { 16 } else { elf.address_size() as u64 };
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

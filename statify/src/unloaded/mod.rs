//! What a program's file has that is not loaded: its symbols and debug information, other sections,
//! and a payload behind everything. Programs look for it in their own file, and so do debuggers. An
//! output has it behind all that is loaded, what is small with the rest that is its own; a payload is its end, as it was the
//! program's, and lies at its own offset besides.
//!
//! [`unclaimed`] finds what no header accounts for, [`headers`] makes the section headers.

mod headers;

use std::ops::Range;

use goblin::elf::section_header::{
    SHF_ALLOC, SHT_NOBITS, SHT_NULL, SHT_REL, SHT_RELA, SHT_SYMTAB, SHT_SYMTAB_SHNDX, SectionHeader,
};
use statify_elf::encode::Sizes;
use statify_elf::{ElfFile, PAGE, page_down, page_up};
use statify_format::Shape;
use statify_program::Unclaimed;

use crate::capture::{Object, PROGRAM};
use crate::classify::Image;
use crate::error::Result;
use crate::layout::Plan;

pub use headers::{Embedding, section_headers};

/// Sections that are no further apart are one part, in bytes: what lies between them is padding.
const PADDING: u64 = 64;

/// Bytes of the program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its file offsets.
    pub range: Range<u64>,
    /// Where the output has them; none: it ends with them.
    pub at: Option<u64>,
}

impl Part {
    /// Themselves.
    pub fn bytes<'a>(&self, image: &'a Image) -> &'a [u8] {
        let range = self.range.start as usize..self.range.end as usize;
        image.objects[PROGRAM].bytes.get(range).unwrap_or_default()
    }
}

/// All that an output has of it.
#[derive(Clone, Debug, Default)]
pub struct Unloaded {
    /// Ascending by where the output has them.
    pub parts: Vec<Part>,
    /// The program's section headers; those that are left out are of type SHT_NULL.
    pub sections: Vec<SectionHeader>,
}

/// Decides what goes where.
pub fn unloaded(
    image: &Image,
    plan: &Plan,
    unclaimed: &Unclaimed,
    shape: &Shape,
) -> Result<Unloaded> {
    let Object { bytes, path, .. } = &image.objects[PROGRAM];
    let within = |range: &Range<u64>| range.end <= bytes.len() as u64;
    let kept = |range: &Range<u64>| {
        let wanted = page_down(range.start)..page_up(range.end);
        plan.kept.iter().any(|kept| kept.start <= wanted.start && wanted.end <= kept.end)
    };
    let mut parts: Vec<Part> = unclaimed
        .ranges()
        .filter(|range| within(range) && kept(range))
        .map(|range| Part { at: Some(range.start), range })
        .collect();
    unclaimed.check_kept(path, kept)?;
    let sections = ElfFile::parse(bytes).map(|elf| sections(&elf, shape.strip));
    let sections = sections.unwrap_or_default();
    let (mut end, mut inside) = (plan.end, plan.room.start);
    for range in runs(&sections, bytes.len() as u64) {
        let (at, next) = beside(inside, &range);
        if is_small(&range) && next <= plan.room.end {
            inside = next;
            parts.push(Part { at: Some(at), range });
            continue;
        }
        // So that blocks, and chunks where it has whole ones, are the same in both files.
        let has_chunks = range.end - range.start >= shape.align;
        let align = if has_chunks { shape.align } else { PAGE };
        let distance = range.start.wrapping_sub(end) & (align - 1);
        let at = end + distance;
        end = at + (range.end - range.start);
        parts.push(Part { at: Some(at), range });
    }
    parts.sort_by_key(|part| part.at);
    let payload = unclaimed.payload.as_ref().map(|payload| payload.range.clone());
    parts.extend(payload.filter(within).map(|range| Part { range, at: None }));
    Ok(Unloaded { parts, sections })
}

/// How many bytes section headers and what is small take of what lies behind the front; none if a payload is the output's end,
/// right behind the section headers.
pub fn small(image: &Image, unclaimed: &Unclaimed, shape: &Shape) -> Option<u64> {
    let bytes = &image.objects[PROGRAM].bytes;
    let elf = ElfFile::parse(bytes).ok();
    let sizes = Sizes::of(elf.as_ref().is_none_or(ElfFile::is_64));
    let sections = elf.map(|elf| sections(&elf, shape.strip)).unwrap_or_default();
    let runs = runs(&sections, bytes.len() as u64).into_iter().filter(is_small);
    let end = runs.fold(0, |at, range| beside(at, &range).1);
    let headers = sections.len() * sizes.section_header;
    unclaimed.payload.is_none().then_some(end + headers as u64)
}

/// Whether no block would be the same as the program's.
fn is_small(range: &Range<u64>) -> bool {
    range.end - range.start < PAGE
}

/// Where such bytes lie behind `at`, and where they end: nothing is aligned to more.
fn beside(at: u64, range: &Range<u64>) -> (u64, u64) {
    const MOST_ALIGNED: u64 = 16;
    let at = at + (range.start.wrapping_sub(at) & (MOST_ALIGNED - 1));
    (at, at + (range.end - range.start))
}

/// The pages that hold these ranges, which are ascending.
pub fn pages(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut pages: Vec<Range<u64>> = Vec::new();
    for range in ranges.map(|range| page_down(range.start)..page_up(range.end)) {
        match pages.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => pages.push(range),
        }
    }
    pages
}

/// About how many bytes an output has of it: of the sections of the program `elf`, which may be an
/// [`statify_elf::Excerpt`], and of what no header accounts for.
pub fn size(elf: &ElfFile<'_>, unclaimed: &Unclaimed, strip: bool) -> u64 {
    let sections = sections(elf, strip);
    let runs = runs(&sections, elf.bytes().len() as u64);
    let len = |range: &Range<u64>| range.end - range.start;
    let (_, table) = elf.section_table();
    let payload = unclaimed.payload.iter().map(|payload| len(&payload.range)).sum::<u64>();
    let unclaimed = unclaimed.ranges().map(|range| len(&range)).sum::<u64>();
    runs.iter().map(len).sum::<u64>() + table + payload + unclaimed
}

/// The section headers, those that are left out as empty ones, so that the others keep their indices.
fn sections(elf: &ElfFile<'_>, strip: bool) -> Vec<SectionHeader> {
    let mut sections = elf.sections();
    // Nothing can be said without names.
    let names = usize::from(elf.header().e_shstrndx);
    let has_names = sections.get(names).is_some_and(|names| is_held(names, elf.bytes().len()));
    if !has_names {
        return Vec::new();
    }
    let is_strings = strings_of_tables(&sections);
    let left_out: Vec<bool> = (0..sections.len())
        .map(|index| {
            let section = &sections[index];
            let is_lost = !is_loaded(section) && !is_held(section, elf.bytes().len());
            let is_debugging = || is_strings[index] || is_debugging(elf, &sections, section);
            is_lost || (strip && index != names && !is_loaded(section) && is_debugging())
        })
        .collect();
    for (section, left_out) in sections.iter_mut().zip(left_out) {
        if left_out {
            *section = SectionHeader::default();
        }
    }
    while sections.len() > names + 1 && sections.last().is_some_and(|s| s.sh_type == SHT_NULL) {
        sections.pop();
    }
    sections
}

/// Whether memory holds it.
fn is_loaded(section: &SectionHeader) -> bool {
    section.sh_flags & u64::from(SHF_ALLOC) != 0
}

/// Whether a file of so many bytes has its contents, if it has any.
fn is_held(section: &SectionHeader, len: usize) -> bool {
    let end = section.sh_offset.checked_add(section.sh_size);
    matches!(section.sh_type, SHT_NULL | SHT_NOBITS) || end.is_some_and(|end| end <= len as u64)
}

/// Whether it is a symbol table that is not loaded.
fn is_symbol_table(section: &SectionHeader) -> bool {
    matches!(section.sh_type, SHT_SYMTAB | SHT_SYMTAB_SHNDX) && !is_loaded(section)
}

/// By index, whether a section holds the names of such a table's symbols.
fn strings_of_tables(sections: &[SectionHeader]) -> Vec<bool> {
    let mut is_strings = vec![false; sections.len()];
    let tables = sections.iter().filter(|section| section.sh_type == SHT_SYMTAB);
    for table in tables.filter(|table| !is_loaded(table)) {
        if let Some(strings) = is_strings.get_mut(table.sh_link as usize) {
            *strings = true;
        }
    }
    is_strings
}

/// Whether strip(1) would remove it, and a debugger miss it.
fn is_debugging(elf: &ElfFile<'_>, sections: &[SectionHeader], section: &SectionHeader) -> bool {
    const NAMES: [&[u8]; 5] = [b".debug", b".zdebug", b".gnu_debug", b".gdb_index", b".stab"];
    let name = elf.section_name(sections, section).unwrap_or_default();
    let relocates = matches!(section.sh_type, SHT_REL | SHT_RELA);
    let table = sections.get(section.sh_link as usize);
    is_symbol_table(section)
        || NAMES.iter().any(|prefix| name.starts_with(prefix))
        || (relocates && table.is_some_and(is_symbol_table))
}

/// The file offsets of sections that are not loaded; ascending, neighbours joined.
fn runs(sections: &[SectionHeader], len: u64) -> Vec<Range<u64>> {
    let held = sections
        .iter()
        .filter(|section| !is_loaded(section) && !matches!(section.sh_type, SHT_NULL | SHT_NOBITS));
    let mut ranges: Vec<Range<u64>> = held
        .map(|section| section.sh_offset..section.sh_offset.saturating_add(section.sh_size))
        .filter(|range| range.start < range.end && range.end <= len)
        .collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(PADDING) => {
                last.end = last.end.max(range.end);
            }
            _ => runs.push(range),
        }
    }
    runs
}

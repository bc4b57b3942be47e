//! The order of sections in their table: symbols say in which section they are by its index.

use std::collections::BTreeMap;

use goblin::elf::section_header::{SHF_TLS, SHT_NOBITS};
use goblin::elf::sym::STT_TLS;
use statify_elf::Symbol;

use super::super::table::{Section, SectionTable};

/// From here on, a symbol's section index has another meaning.
pub(super) const SHN_LORESERVE: u16 = 0xff00;

/// Gives each section the index that the symbols in it say, and the others one between them.
pub(super) fn number(sections: Vec<Section>, symbols: &[Symbol]) -> SectionTable {
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

/// Whether it is of the template of thread-local memory.
pub(super) fn is_thread_local(section: &Section) -> bool {
    section.flags & u64::from(SHF_TLS) != 0
}

//! Sections that the dynamic section leads to (gABI, "Dynamic Section").

use goblin::elf::dynamic;
use goblin::elf::section_header::{
    SHF_INFO_LINK, SHT_DYNSYM, SHT_FINI_ARRAY, SHT_GNU_HASH, SHT_GNU_VERDEF, SHT_GNU_VERNEED,
    SHT_GNU_VERSYM, SHT_HASH, SHT_INIT_ARRAY, SHT_PREINIT_ARRAY, SHT_PROGBITS, SHT_REL, SHT_RELA,
    SHT_STRTAB,
};
use statify_elf::encode::Sizes;
use statify_elf::{DynamicFacts, ElfFile};

use super::super::table::Section;
use super::loaded::section;

const SHT_RELR: u32 = 19;
const DT_RELR: u64 = 36;
const DT_RELRSZ: u64 = 35;

/// Those that the dynamic section leads to.
pub(super) fn of_tags(elf: &ElfFile<'_>, facts: &DynamicFacts<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add =
        |name, kind, address: Option<u64>, size: Option<u64>, align, entry, link, info| {
            let made = address.zip(size).filter(|(_, size)| *size > 0);
            let made =
                made.and_then(|(address, size)| section(elf, name, kind, address, size, align));
            if let Some(mut made) = made {
                (made.entry, made.link, made.info) = (entry, link, info);
                if matches!(kind, SHT_RELA | SHT_REL) && link.is_some() && info != 0 {
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
    let word = elf.address_size() as u64;
    let entry = Sizes::of(elf.is_64()).symbol as u64;
    let strings = Some(".dynstr");
    let table = Some(".dynsym");
    let first = locals.unwrap_or(symbols.len());
    let size = Some(entry * count);
    add(".dynsym", SHT_DYNSYM, value(dynamic::DT_SYMTAB), size, word, entry, strings, first);
    let size = value(dynamic::DT_STRSZ);
    add(".dynstr", SHT_STRTAB, value(dynamic::DT_STRTAB), size, 1, 0, None, 0);
    let hash = value(dynamic::DT_HASH);
    let size = hash
        .and_then(|at| elf.at(at, 8))
        .map(|head| 4 * (2 + u64::from(elf.word(head)) + u64::from(elf.word(&head[4..]))));
    add(".hash", SHT_HASH, hash, size, word, 4, table, 0);
    let hash = value(dynamic::DT_GNU_HASH);
    let size = hash.and_then(|at| gnu_hash_size(elf, at, count));
    add(".gnu.hash", SHT_GNU_HASH, hash, size, word, 0, table, 0);
    let versions = value(dynamic::DT_VERSYM);
    add(".gnu.version", SHT_GNU_VERSYM, versions, Some(2 * count), 2, 2, table, 0);
    for (name, kind, tag, count) in [
        (".gnu.version_d", SHT_GNU_VERDEF, dynamic::DT_VERDEF, dynamic::DT_VERDEFNUM),
        (".gnu.version_r", SHT_GNU_VERNEED, dynamic::DT_VERNEED, dynamic::DT_VERNEEDNUM),
    ] {
        let size = value(tag).and_then(|at| records(elf, kind, at));
        add(name, kind, value(tag), size, word, 0, strings, value(count).unwrap_or(0) as u32);
    }
    // Three words with an addend, else two.
    let (plt, kind, words) = match value(dynamic::DT_PLTREL) {
        Some(dynamic::DT_REL) => (".rel.plt", SHT_REL, 2),
        _ => (".rela.plt", SHT_RELA, 3),
    };
    for (name, kind, tag, size, words, link) in [
        (".rela.dyn", SHT_RELA, dynamic::DT_RELA, dynamic::DT_RELASZ, 3, table),
        (".rel.dyn", SHT_REL, dynamic::DT_REL, dynamic::DT_RELSZ, 2, table),
        (plt, kind, dynamic::DT_JMPREL, dynamic::DT_PLTRELSZ, words, table),
        (".relr.dyn", SHT_RELR, DT_RELR, DT_RELRSZ, 1, None),
    ] {
        add(name, kind, value(tag), value(size), word, words * word, link, 0);
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
        add(name, kind, value(tag), value(size), word, word, None, 0);
    }
    // What lazy binding writes: .got.plt, or the end of .got if that has it.
    if let Some(slots) = facts.jump_slots() {
        let all = facts.plt_relocations().map(|entry| entry.at.saturating_add(word));
        let end = all.filter(|&end| end > slots.start).max().unwrap_or(slots.end);
        let start = value(dynamic::DT_PLTGOT).filter(|got| *got <= slots.start);
        let start = start.unwrap_or(slots.start);
        let size = end.checked_sub(start);
        add(".got.plt", SHT_PROGBITS, Some(start), size, word, word, None, 0);
    }
    sections
}

/// The size of a DT_GNU_HASH, in bytes, for so many symbols.
fn gnu_hash_size(elf: &ElfFile<'_>, at: u64, symbols: u64) -> Option<u64> {
    let table = elf.from(at)?;
    let number = |at: usize| table.get(at..at.checked_add(4)?).map(|word| elf.word(word));
    let (buckets, first, filter) = (number(0)?, number(4)?, number(8)?);
    let heads = 16 + elf.address_size() as u64 * u64::from(filter);
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

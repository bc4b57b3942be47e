//! Sections and the static symbol table, where a file still has them: they name things, and nothing
//! that is checked depends on them alone.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::section_header::{SHT_NOBITS, SHT_SYMTAB, SectionHeader};
use statify_elf::{ElfFile, Symbol};

/// The sections with their names; none if the table is damaged.
pub fn sections<'a>(elf: &ElfFile<'a>) -> impl Iterator<Item = (&'a [u8], SectionHeader)> {
    let all = read(elf).unwrap_or_default();
    let names =
        all.get(usize::from(elf.header().e_shstrndx)).and_then(|table| contents(elf, table));
    let names = names.unwrap_or_default();
    all.into_iter().filter_map(move |section| {
        let name = names.get(section.sh_name..)?.split(|&byte| byte == 0).next()?;
        Some((name, section))
    })
}

fn read(elf: &ElfFile<'_>) -> Option<Vec<SectionHeader>> {
    let container = if elf.is_64() { Container::Big } else { Container::Little };
    let context = Ctx::new(container, Endian::Little);
    let header = elf.header();
    let (start, count) = (usize::try_from(header.e_shoff).ok()?, usize::from(header.e_shnum));
    let is_sound = elf.is_little_endian() && start != 0;
    let len = count.checked_mul(SectionHeader::size(context))?;
    let is_there = start.checked_add(len).is_some_and(|end| end <= elf.bytes().len());
    if !is_sound || !is_there {
        return None;
    }
    SectionHeader::parse(elf.bytes(), start, count, context).ok()
}

fn contents<'a>(elf: &ElfFile<'a>, section: &SectionHeader) -> Option<&'a [u8]> {
    if section.sh_type == SHT_NOBITS {
        return None;
    }
    let start = usize::try_from(section.sh_offset).ok()?;
    elf.bytes().get(start..start.checked_add(usize::try_from(section.sh_size).ok()?)?)
}

/// The symbol of .symtab that holds this address (before any bias), and its name.
pub fn static_symbol<'a>(elf: &ElfFile<'a>, address: u64) -> Option<(Symbol, &'a [u8])> {
    let all = read(elf)?;
    let table = all.iter().find(|section| section.sh_type == SHT_SYMTAB)?;
    let names = contents(elf, all.get(table.sh_link as usize)?)?;
    let entries = contents(elf, table)?.chunks_exact(elf.size_of_symbol());
    let symbols = entries.filter_map(|entry| elf.symbol(entry));
    let symbol = best(symbols, address)?;
    let name = names.get(symbol.name as usize..)?.split(|&byte| byte == 0).next()?;
    Some((symbol, name))
}

/// Of these symbols the one that holds an address, preferably a global one.
pub fn best(symbols: impl Iterator<Item = Symbol>, address: u64) -> Option<Symbol> {
    const STT_OBJECT: u8 = 1;
    let holds = |symbol: &Symbol| {
        symbol.is_defined()
            && (symbol.is_function() || symbol.kind() == STT_OBJECT)
            && symbol.value <= address
            && address - symbol.value < symbol.size.max(1)
    };
    symbols.filter(holds).max_by_key(|symbol| (symbol.value, symbol.binding() == 1))
}

//! The symbols of all modules at their addresses in the converted file: from their dynamic symbol tables, from
//! the symbol tables of their debug files or of the files themselves where those are there, and, for code that
//! nobody names, from the unwinding tables.

use std::collections::BTreeMap;

use goblin::elf::sym::{STB_GLOBAL, STB_LOCAL, STT_FUNC, STT_GNU_IFUNC, STT_OBJECT};
use memmap2::Mmap;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, FileKind};
use statify_elf::{ElfFile, Symbol};

use super::frames;
use crate::converted::module::Addresses;

/// A name for some addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its virtual address in the output.
    pub address: u64,
    /// In bytes; 0 if nobody knows.
    pub size: u64,
    /// The name, without a version.
    pub name: Vec<u8>,
    /// STB_* and STT_*, as in a symbol table.
    pub info: u8,
}

impl Named {
    /// Whether it is code.
    pub fn is_function(&self) -> bool {
        matches!(self.info & 0xf, STT_FUNC | STT_GNU_IFUNC)
    }
}

/// The symbols of a module: `image` is the module, `tables` are other files with its symbols, and
/// `name` is what code is called that has none: `libc.so.6+0x1234`.
pub fn of_module(image: &[u8], addresses: &Addresses, tables: &[Mmap], name: &str) -> Vec<Named> {
    let mut symbols: BTreeMap<(u64, Vec<u8>), Named> = BTreeMap::new();
    // Names that lie may share a string any number of times.
    let mut room = 4 * (image.len() + tables.iter().map(|table| table.len()).sum::<usize>());
    let mut add = |at: u64, size: u64, name: &[u8], info: u8| {
        let wanted = matches!(info & 0xf, STT_FUNC | STT_GNU_IFUNC | STT_OBJECT);
        if !wanted || name.is_empty() || !addresses.span.contains(&at) {
            return true;
        }
        let name = name.split(|&byte| byte == b'@').next().unwrap_or(name).to_vec();
        let Some(left) = room.checked_sub(name.len()) else { return false };
        room = left;
        let address = addresses.in_output(at);
        let named = Named { address, size, name: name.clone(), info };
        symbols.entry((address, name)).or_insert(named);
        true
    };
    let elf = ElfFile::parse_any(image).ok();
    let facts = elf.as_ref().and_then(|elf| elf.dynamic().ok().flatten());
    if let Some(facts) = &facts {
        for Symbol { name, info, value, size, .. } in
            facts.symbols().iter().filter(Symbol::is_defined)
        {
            if !add(value, size, facts.string(name.into()).unwrap_or_default(), info) {
                break;
            }
        }
    }
    for table in tables {
        for_each_of_table(table, &mut add);
    }
    let mut symbols: Vec<Named> = symbols.into_values().collect();
    if let Some(elf) = &elf {
        let unnamed = unnamed(elf, addresses, &symbols, name);
        symbols.extend(unnamed);
    }
    symbols
}

/// Calls `add` with address, size, name and info of each symbol that a file's .symtab defines, until
/// it has enough.
fn for_each_of_table(bytes: &[u8], add: &mut impl FnMut(u64, u64, &[u8], u8) -> bool) {
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => for_each_of::<FileHeader64<Endianness>>(bytes, add),
        Ok(FileKind::Elf32) => for_each_of::<FileHeader32<Endianness>>(bytes, add),
        _ => {}
    }
}

/// The same of a file of one class.
fn for_each_of<H: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
    add: &mut impl FnMut(u64, u64, &[u8], u8) -> bool,
) {
    let Ok(header) = H::parse(bytes) else { return };
    let Ok(endian) = header.endian() else { return };
    let Ok(sections) = header.sections(endian, bytes) else { return };
    let Ok(table) = sections.symbols(endian, bytes, elf::SHT_SYMTAB) else { return };
    for symbol in table.iter() {
        if symbol.st_shndx(endian) != elf::SHN_UNDEF
            && let Ok(name) = symbol.name(endian, table.strings())
            && !add(
                symbol.st_value(endian).into(),
                symbol.st_size(endian).into(),
                name,
                symbol.st_info(),
            )
        {
            return;
        }
    }
}

/// Functions that the unwinding tables tell of and no symbol names, by their module and address.
fn unnamed(elf: &ElfFile<'_>, addresses: &Addresses, symbols: &[Named], name: &str) -> Vec<Named> {
    let Some(found) = frames::find(elf) else { return Vec::new() };
    // By start, where the furthest function that begins there or before it ends.
    let mut ends: Vec<(u64, u64)> = Vec::new();
    for symbol in symbols.iter().filter(|symbol| symbol.is_function()) {
        let end = symbol.address.saturating_add(symbol.size.max(1));
        let end = ends.last().map_or(end, |last| last.1.max(end));
        ends.push((symbol.address, end));
    }
    let is_named = |address: u64| {
        let before = ends.partition_point(|(start, _)| *start <= address);
        before.checked_sub(1).is_some_and(|last| address < ends[last].1)
    };
    let frames = frames::read(&found).frames;
    let frames = frames.iter().filter(|frame| addresses.span.contains(&frame.start));
    let unnamed = frames.filter(|frame| !is_named(addresses.in_output(frame.start)));
    unnamed
        .map(|frame| Named {
            address: addresses.in_output(frame.start),
            size: frame.len,
            name: format!("{name}+{:#x}", frame.start).into_bytes(),
            info: STB_LOCAL << 4 | STT_FUNC,
        })
        .collect()
}

/// The info of a global function.
pub const FUNCTION: u8 = STB_GLOBAL << 4 | STT_FUNC;

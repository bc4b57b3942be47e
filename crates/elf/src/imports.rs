//! The names that a file leaves to others to define.

use goblin::elf::dynamic;

use super::symbols::{count_undefined, size_of_symbol};
use super::{DynamicFacts, ElfFile};

/// A longer name is cut, in bytes: so that a table without a NUL is not read again for each symbol.
const LONGEST: usize = 4096;

impl<'a> DynamicFacts<'a> {
    /// The names of the undefined symbols, cut at 4096 bytes.
    pub fn imports(&self) -> impl Iterator<Item = &'a [u8]> {
        let file = self.file().clone();
        let strings = self.value(dynamic::DT_STRTAB).and_then(|table| file.from(table));
        let symbols = self.value(dynamic::DT_SYMTAB).and_then(|table| file.from(table));
        let symbols = symbols.unwrap_or_default();
        let len = (count_undefined(self) as usize).saturating_mul(size_of_symbol(&file));
        let symbols = &symbols[..len.min(symbols.len())];
        undefined(file, symbols, strings.unwrap_or_default())
    }
}

/// The names of the undefined symbols of a table.
pub(super) fn undefined<'a>(
    file: ElfFile<'a>,
    symbols: &'a [u8],
    strings: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    // st_shndx.
    let section = if file.is_64() { 6 } else { 14 };
    let entries = symbols.chunks_exact(size_of_symbol(&file)).skip(1);
    entries.filter_map(move |entry| {
        if file.half(&entry[section..]) != 0 {
            return None;
        }
        name_at(strings, file.word(entry))
    })
}

/// The name at an offset of a string table, cut at [`LONGEST`] bytes.
pub(super) fn name_at(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = strings.get(offset as usize..)?;
    let rest = &rest[..rest.len().min(LONGEST)];
    rest.split(|&byte| byte == 0).next()
}

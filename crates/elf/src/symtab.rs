//! The symbol table that is not loaded (gABI, "Sections": SHT_SYMTAB): what is left of it after strip.

use goblin::elf::dynamic::{DF_1_PIE, DT_FLAGS_1};
use goblin::elf::header::{ET_EXEC, ET_REL};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP};
use goblin::elf::section_header::{SHT_SYMTAB, SectionHeader};

use super::ElfFile;
use super::imports::name_at;
use super::symbols::size_of_symbol;

/// A larger table is not read, in bytes.
const LARGEST: u64 = 16 << 20;

/// Where symbols and their names lie: offsets and sizes in the file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symtab {
    pub(super) symbols: (u64, u64),
    pub(super) strings: (u64, u64),
}

impl<'a> ElfFile<'a> {
    /// Whether it is linked for good or not linked yet, so that names are in its symbol table only.
    pub(super) fn is_static_or_object(&self) -> bool {
        if self.header().e_type == ET_REL {
            return true;
        }
        let has = |kind| self.of_type(kind).next().is_some();
        let is_marked = || {
            let dynamic = self.dynamic().ok().flatten();
            let flags = dynamic.and_then(|facts| facts.value(DT_FLAGS_1));
            flags.is_some_and(|flags| flags & DF_1_PIE != 0)
        };
        let is_program = || self.header().e_type == ET_EXEC || !has(PT_DYNAMIC) || is_marked();
        !has(PT_INTERP) && is_program()
    }

    /// Where its symbol table lies; `None` if there is none, or if it is too large to be read.
    pub(super) fn symtab(&self) -> Option<Symtab> {
        let (offset, size) = self.section_table();
        let (start, end) = (usize::try_from(offset).ok()?, usize::try_from(size).ok()?);
        self.bytes().get(start..start.checked_add(end)?)?;
        let count = usize::from(self.header().e_shnum);
        let table = SectionHeader::parse(self.bytes(), start, count, self.sections_context());
        let table = table.ok()?;
        let symbols = table.iter().find(|section| section.sh_type == SHT_SYMTAB)?;
        let strings = table.get(symbols.sh_link as usize)?;
        let place = |section: &SectionHeader| {
            (section.sh_size <= LARGEST).then_some((section.sh_offset, section.sh_size))
        };
        Some(Symtab { symbols: place(symbols)?, strings: place(strings)? })
    }

    /// The names of all its symbols, cut at 4096 bytes; `None` if it has no such table.
    pub fn symtab_names(&self) -> Option<impl Iterator<Item = &'a [u8]>> {
        let table = self.symtab()?;
        let bytes = self.bytes();
        let part = |(offset, size): (u64, u64)| {
            let start = usize::try_from(offset).ok()?;
            bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
        };
        let (symbols, strings) = (part(table.symbols)?, part(table.strings)?);
        let file = self.clone();
        let entries = symbols.chunks_exact(size_of_symbol(&file)).skip(1);
        Some(entries.filter_map(move |entry| name_at(strings, file.word(entry))))
    }
}

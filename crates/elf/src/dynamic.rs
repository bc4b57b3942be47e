//! The dynamic section (gABI, "Dynamic Section").

use std::ops::Range;

use goblin::elf::dynamic;

use super::machine::Meaning;
use super::{ElfFile, SymbolTable, Versions};

/// More entries than this are no dynamic section's.
const MOST_ENTRIES: usize = 1 << 14;

/// What stands in a dynamic section.
#[derive(Clone, Debug)]
pub struct DynamicFacts<'a> {
    file: ElfFile<'a>,
    /// Tags and values, up to DT_NULL.
    entries: Vec<(u64, u64)>,
}

impl<'a> DynamicFacts<'a> {
    /// Reads the contents of a PT_DYNAMIC.
    pub(super) fn read(file: ElfFile<'a>, bytes: &[u8]) -> Self {
        let size = file.address_size();
        let entries = bytes.chunks_exact(2 * size).take(MOST_ENTRIES);
        let entries = entries.map(|entry| (file.address(entry), file.address(&entry[size..])));
        let entries = entries.take_while(|&(tag, _)| tag != dynamic::DT_NULL).collect();
        Self { file, entries }
    }

    /// The file that it stands in.
    pub fn file(&self) -> &ElfFile<'a> {
        &self.file
    }

    /// Tags and values, up to DT_NULL.
    pub fn entries(&self) -> &[(u64, u64)] {
        &self.entries
    }

    /// The value of the first entry with this tag.
    pub fn value(&self, tag: u64) -> Option<u64> {
        self.entries.iter().find(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    /// The table whose address and size, in bytes, stand under these tags.
    pub(super) fn table(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        self.file.at(self.value(address)?, self.value(size)?)
    }

    /// The bytes at these addresses (before any bias), as far as the file has them.
    pub fn bytes(&self, address: u64, len: u64) -> Option<&'a [u8]> {
        self.file.at(address, len)
    }

    /// The string at this offset of DT_STRTAB, without its NUL.
    pub fn string(&self, offset: u64) -> Option<&'a [u8]> {
        self.file.string_at(self.value(dynamic::DT_STRTAB)?.checked_add(offset)?)
    }

    /// DT_SONAME.
    pub fn soname(&self) -> Option<&'a [u8]> {
        self.string(self.value(dynamic::DT_SONAME)?)
    }

    /// DT_NEEDED, in order.
    pub fn needed(&self) -> Vec<&'a [u8]> {
        let entries = self.entries.iter().filter(|entry| entry.0 == dynamic::DT_NEEDED);
        entries.filter_map(|entry| self.string(entry.1)).collect()
    }

    /// DT_RPATH and DT_RUNPATH: directories, separated by colons.
    pub fn search_paths(&self) -> Vec<&'a [u8]> {
        self.rpath().into_iter().chain(self.runpath()).collect()
    }

    /// DT_RPATH, as it stands there.
    pub fn rpath(&self) -> Option<&'a [u8]> {
        self.string(self.value(dynamic::DT_RPATH)?)
    }

    /// DT_RUNPATH, as it stands there.
    pub fn runpath(&self) -> Option<&'a [u8]> {
        self.string(self.value(dynamic::DT_RUNPATH)?)
    }

    /// What DT_AUDIT and DT_DEPAUDIT name: lists of libraries separated by colons, names that are empty
    /// among them (the loader prepares for audit all the same). glibc's loader
    /// heeds the program's from 2.32 on, the last entry of each tag, and no library's
    /// (elf/rtld.c, audit_list_add_dynamic_tag; elf/get-dynamic-info.h).
    pub fn audit_libraries(&self) -> Vec<&'a [u8]> {
        const DT_AUDIT: u64 = 0x6fff_fefc;
        const DT_DEPAUDIT: u64 = 0x6fff_fefb;
        let last = |tag| self.entries.iter().rev().find(|entry| entry.0 == tag);
        let lists = [DT_AUDIT, DT_DEPAUDIT].into_iter().filter_map(last);
        let lists = lists.filter_map(|entry| self.string(entry.1));
        lists.filter(|list| !list.is_empty()).collect()
    }

    /// The dynamic symbols.
    pub fn symbols(&self) -> SymbolTable<'a> {
        SymbolTable::read(self)
    }

    /// The versions of the dynamic symbols.
    pub fn versions(&self) -> Versions<'a> {
        Versions::read(self)
    }

    /// The addresses that lazy binding writes to: DT_PLTGOT's three words and the jump slots.
    /// Constant once everything is bound.
    pub fn jump_slots(&self) -> Option<Range<u64>> {
        let (machine, word) = (self.file.machine()?, self.file.address_size() as u64);
        let is_slot = |kind| machine.relocation(kind) == Some(Meaning::JumpSlot);
        let bound = self.plt_relocations().filter(|entry| is_slot(entry.kind));
        let mut slots: Vec<u64> = bound.map(|entry| entry.at).collect();
        slots.sort_unstable();
        // Only a gapless run is certain to hold nothing else.
        let first = *slots.first()?;
        let gapless = slots.windows(2).take_while(|pair| pair[1] == pair[0] + word).count() as u64;
        let end = first.checked_add(word * (gapless + 1))?;
        let header = self.value(dynamic::DT_PLTGOT).filter(|&got| got + 3 * word == first);
        Some(header.unwrap_or(first)..end)
    }
}

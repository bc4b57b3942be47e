//! What relocations refer to, and the IFUNCs that a module defines.

use std::collections::HashMap;

use goblin::elf::sym::STT_GNU_IFUNC;
use statify_elf::{DynamicFacts, HIDDEN, Relocation, SymbolTable, Versions, little_endian};

/// A symbol as a relocation refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its version's name.
    pub version: Option<&'a [u8]>,
}

/// An IFUNC that a module defines.
#[derive(Clone, Copy, Debug)]
struct Definition<'a> {
    version: Option<&'a [u8]>,
    hidden: bool,
    resolver: u64,
}

/// The symbols of a module.
pub struct Symbols<'a> {
    facts: DynamicFacts<'a>,
    table: SymbolTable<'a>,
    versions: Versions<'a>,
    ifuncs: HashMap<&'a [u8], Vec<Definition<'a>>>,
}

impl<'a> Symbols<'a> {
    /// Reads them; `None` if there are none.
    pub fn read(facts: DynamicFacts<'a>) -> Option<Self> {
        let (table, versions) = (facts.symbols(), facts.versions());
        if table.is_empty() {
            return None;
        }
        let mut symbols = Self { facts, table, versions, ifuncs: HashMap::new() };
        symbols.find_ifuncs();
        Some(symbols)
    }

    /// The relocations, in the loader's order.
    pub fn relocations(&self) -> impl Iterator<Item = Relocation> {
        self.facts.relocations()
    }

    /// The word at this address (before any bias), as the file has it.
    pub fn word(&self, at: u64) -> Option<u64> {
        let size = self.facts.file().address_size() as u64;
        Some(little_endian(self.facts.bytes(at, size)?))
    }

    /// What a relocation refers to.
    pub fn reference(&self, symbol: u32) -> Option<Reference<'a>> {
        let name = self.facts.string(self.table.get(symbol)?.name.into())?;
        let version = self.versions.number(symbol);
        let version = version.and_then(|number| self.versions.name(number));
        Some(Reference { name, version })
    }

    /// The resolver of the IFUNC of this name and version.
    pub fn resolver(&self, wanted: &Reference<'_>) -> Option<u64> {
        let definitions = self.ifuncs.get(wanted.name)?;
        let exact = definitions.iter().find(|definition| definition.version == wanted.version);
        let default = || definitions.iter().find(|definition| !definition.hidden);
        let found = exact.or_else(|| if wanted.version.is_none() { default() } else { None });
        found.map(|definition| definition.resolver)
    }

    /// Whether it defines any IFUNC.
    pub fn has_ifuncs(&self) -> bool {
        !self.ifuncs.is_empty()
    }

    fn find_ifuncs(&mut self) {
        for (index, symbol) in (0..).zip(self.table.iter()) {
            if symbol.kind() != STT_GNU_IFUNC || !symbol.is_defined() {
                continue;
            }
            let Some(name) = self.facts.string(symbol.name.into()) else { continue };
            let number = self.versions.number(index);
            let definition = Definition {
                version: number.and_then(|number| self.versions.name(number)),
                hidden: number.is_some_and(|number| number & HIDDEN != 0),
                resolver: symbol.value,
            };
            self.ifuncs.entry(name).or_default().push(definition);
        }
    }
}

/// The C library that a test is linked with.
#[cfg(test)]
pub(super) fn own_c_library() -> Vec<u8> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps.lines().filter_map(|line| line.split_whitespace().last());
    let path = path.into_iter().find(|path| path.ends_with("/libc.so.6"));
    std::fs::read(path.expect("this test is linked with glibc")).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use statify_elf::ElfFile;

    #[test]
    fn ifuncs_are_found_by_name_and_version() {
        let bytes = own_c_library();
        let elf = ElfFile::parse(&bytes).unwrap();
        let symbols = Symbols::read(elf.dynamic().unwrap().unwrap()).unwrap();
        let resolver = |version: Option<&'static [u8]>| {
            symbols.resolver(&Reference { name: b"memcpy", version })
        };
        // Where there is an older one, the default is that of glibc 2.14.
        let version: &[u8] =
            if cfg!(target_arch = "x86_64") { b"GLIBC_2.14" } else { b"GLIBC_2.17" };
        let new = resolver(Some(version));
        assert!(new.is_some() && resolver(None) == new);
        assert_eq!(resolver(Some(b"GLIBC_9.9")), None);
    }
}

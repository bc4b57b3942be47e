//! What a module imports, and where the loader writes the addresses.

use std::collections::HashMap;

use statify_elf::DynamicFacts;
use statify_elf::machine::Meaning;

/// An undefined dynamic symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import<'a> {
    /// Its name.
    pub name: &'a str,
    /// The version that is wanted.
    pub version: Option<&'a [u8]>,
    /// It may be missing.
    pub weak: bool,
    /// The words of the GOT that get its address (before any bias), on machines whose relocations
    /// are understood.
    pub slots: Vec<u64>,
    /// Other words get it, too, or the module's own code stands for it elsewhere.
    pub taken: bool,
}

/// Imports whose names are wanted.
pub fn imports<'a>(
    dynamic: &DynamicFacts<'a>,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Import<'a>> {
    let versions = dynamic.versions();
    let mut found: Vec<Import<'a>> = Vec::new();
    let mut by_index = HashMap::new();
    for (index, symbol) in (0..).zip(dynamic.symbols().iter()) {
        let name = dynamic.string(symbol.name.into()).and_then(|name| str::from_utf8(name).ok());
        let Some(name) = name.filter(|name| !symbol.is_defined() && is_wanted(name)) else {
            continue;
        };
        let version = versions.number(index).and_then(|number| versions.name(number));
        by_index.insert(index, found.len());
        // An address of an undefined symbol is that of a stub which stands for the function.
        let taken = symbol.value != 0;
        found.push(Import { name, version, weak: symbol.is_weak(), slots: Vec::new(), taken });
    }
    let Some(machine) = dynamic.file().machine().filter(|_| !found.is_empty()) else {
        return found;
    };
    for relocation in dynamic.relocations() {
        let Some(&import) = by_index.get(&relocation.symbol) else { continue };
        match machine.relocation(relocation.kind) {
            Some(Meaning::GlobalData | Meaning::JumpSlot) => {
                found[import].slots.push(relocation.at)
            }
            _ => found[import].taken = true,
        }
    }
    found
}

//! Where in a file a word is, in names: for people who are to find out what writes it.

use goblin::elf::sym::STT_TLS;
use statify_elf::ElfFile;

use super::symbols::Symbols;

/// SHF_ALLOC, SHF_TLS (gABI, "Sections"): it is in memory; it is a thread's.
const IN_MEMORY: u64 = 0x2;
const OF_A_THREAD: u64 = 0x400;

/// Names for a word of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The section that it is in.
    pub section: Option<String>,
    /// The symbol that a relocation writes there, or that the word is a part of.
    pub symbol: Option<String>,
}

/// What a file says of the word that is so many bytes behind its first page.
pub fn of(file: &[u8], offset: u64) -> Whereabouts {
    let Ok(elf) = ElfFile::parse(file) else { return Whereabouts::default() };
    let Some(span) = elf.span() else { return Whereabouts::default() };
    let at = span.start.wrapping_add(offset);
    Whereabouts { section: section(&elf, at), symbol: symbol(&elf, at) }
}

fn section(elf: &ElfFile<'_>, at: u64) -> Option<String> {
    let sections = elf.sections();
    let found = sections.iter().find(|section| {
        section.sh_flags & (IN_MEMORY | OF_A_THREAD) == IN_MEMORY
            && at.checked_sub(section.sh_addr).is_some_and(|within| within < section.sh_size)
    })?;
    Some(text(elf.section_name(&sections, found)?))
}

fn symbol(elf: &ElfFile<'_>, at: u64) -> Option<String> {
    let facts = elf.dynamic().ok().flatten()?;
    let referred = Symbols::read(facts.clone()).and_then(|symbols| {
        let relocation = symbols.relocations().find(|relocation| relocation.at & !7 == at)?;
        let is_named = relocation.symbol != 0;
        is_named.then(|| symbols.reference(relocation.symbol))?.map(|found| text(found.name))
    });
    let containing = || {
        let table = facts.symbols();
        let symbol = table.iter().find(|symbol| {
            // Thread-local ones have an offset where others have an address.
            symbol.is_defined()
                && symbol.kind() != STT_TLS
                && at.checked_sub(symbol.value).is_some_and(|within| within < symbol.size)
        })?;
        Some(text(facts.string(symbol.name.into())?))
    };
    referred.or_else(containing)
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::symbols::own_c_library;

    #[test]
    fn words_of_this_c_library_have_names() {
        let bytes = own_c_library();
        let elf = ElfFile::parse(&bytes).unwrap();
        let facts = elf.dynamic().unwrap().unwrap();
        let table = facts.symbols();
        let variable = |name: &[u8]| {
            let mut defined = table.iter().filter(|symbol| symbol.is_defined());
            let found = defined.find(|symbol| facts.string(symbol.name.into()) == Some(name));
            found.expect("a variable of this C library").value
        };
        let start = elf.span().unwrap().start;
        // A pointer to another variable, by a relocation; a word within that variable.
        for at in [variable(b"stdout"), variable(b"_IO_2_1_stdout_") + 8] {
            let found = of(&bytes, at - start);
            assert!(found.section.is_some_and(|name| name.starts_with(".data")), "{at:#x}");
            assert_eq!(found.symbol.as_deref(), Some("_IO_2_1_stdout_"), "{at:#x}");
        }
        assert_eq!(of(b"no ELF file", 0), Whereabouts::default());
        assert_eq!(of(&bytes, u64::MAX - 4096).section, None);
    }
}

//! A section of memory that is loaded from the file.

use goblin::elf::program_header::{PF_W, PF_X, ProgramHeader};
use goblin::elf::section_header::{SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE};
use statify_elf::ElfFile;

use super::super::table::Section;

/// Whether a section of this name has code: others may be in one segment with it.
pub(super) fn is_code(name: &str) -> bool {
    [".init", ".plt", ".text", ".fini"].into_iter().any(|code| {
        name.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// A section of what is loaded from the file, flagged as its segment is, and as its name says; `None` if it is not in one.
pub(super) fn section(
    elf: &ElfFile<'_>,
    name: &str,
    kind: u32,
    address: u64,
    size: u64,
    align: u64,
) -> Option<Section> {
    let load = elf.loads().find(|load| {
        let offset = address.checked_sub(load.p_vaddr);
        offset
            .and_then(|offset| load.p_filesz.checked_sub(offset))
            .is_some_and(|room| room > 0 && size <= room)
    })?;
    let offset = load.p_offset.checked_add(address - load.p_vaddr)?;
    let align = if address.is_multiple_of(align) { align } else { 1 };
    let flags = flags(load, is_code(name));
    let name = name.to_owned();
    Some(Section { name, kind, flags, address, offset, size, link: None, info: 0, align, entry: 0 })
}

fn flags(load: &ProgramHeader, is_code: bool) -> u64 {
    let write = if load.p_flags & PF_W != 0 { SHF_WRITE } else { 0 };
    let execute = if load.p_flags & PF_X != 0 && is_code { SHF_EXECINSTR } else { 0 };
    u64::from(SHF_ALLOC | write | execute)
}

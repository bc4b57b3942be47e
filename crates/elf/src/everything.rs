//! All questions at once, for tests and for fuzzing: none of them may panic, hang or take much memory, whatever
//! the bytes are.

use super::machine::Machine;
use super::{DynamicFacts, ElfFile};
use crate::c_library::CLibrary;

/// So many of what comes in lists are looked at.
const MANY: usize = 1 << 16;

/// Asks everything that can be asked of an ELF file, and drops the answers.
pub fn look_at_everything(bytes: &[u8]) {
    let Ok(elf) = ElfFile::parse_any(bytes) else {
        return;
    };
    let _ = (elf.notes().count(), elf.interpreter(), elf.build_id(), elf.span(), elf.alignment());
    let _ = (elf.least_kernel(), elf.header_table_address(), elf.cet(), elf.has_writable_code());
    let sections = elf.sections();
    let _ = sections.iter().filter_map(|section| elf.section_name(&sections, section)).count();
    let _ = elf.symtab_names().map(|names| names.take(MANY).count());
    if let Ok(Some(dynamic)) = elf.dynamic() {
        let _ = (dynamic.needed(), dynamic.soname(), dynamic.search_paths(), dynamic.jump_slots());
        let _ = (dynamic.relocations().take(MANY).count(), dynamic.imports().take(MANY).count());
        let _ = dynamic.relative_words().take(MANY).count();
        if let Some(machine) = elf.machine() {
            look_at_code(&elf, &dynamic, machine);
        }
        let versions = dynamic.versions();
        for (index, symbol) in (0..).zip(dynamic.symbols().iter().take(MANY)) {
            let number = versions.number(index).unwrap_or_default();
            let _ = (dynamic.string(symbol.name.into()), versions.name(number));
        }
    }
    if let Ok(elf) = ElfFile::parse(bytes) {
        let _ = CLibrary::of_loader(&elf);
    }
}

/// Everything that is asked of the code.
fn look_at_code(elf: &ElfFile<'_>, dynamic: &DynamicFacts<'_>, machine: Machine) {
    let slots = dynamic.relocations().take(MANY).map(|entry| vec![entry.at]).take(64);
    let slots: Vec<Vec<u64>> = slots.collect();
    let _ = (machine.code_parts(elf, dynamic), machine.uses(elf, &slots));
    let _ = (machine.functions_that_refer_to(elf, &[0, 0x2000]), elf.branch_protection());
    let lazy = machine.lazy_targets(elf, dynamic);
    for (index, code) in lazy.iter().filter_map(|(index, &at)| Some((*index, elf.from(at)?))) {
        let _ = machine.is_lazy_stub(code, index);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// This test program, cut to what headers and dynamic tables need.
    fn program() -> &'static [u8] {
        static BYTES: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| std::fs::read("/bin/true").expect("there is a /bin/true"));
        &BYTES
    }

    proptest! {
        #[test]
        fn changed_programs(
            machine in prop::sample::select(Machine::ALL.to_vec()),
            at in 0usize..4096,
            bytes in proptest::collection::vec(any::<u8>(), 1..16),
            len in 0usize..40_000,
        ) {
            let mut changed = program().to_vec();
            // What it holds is no other machine's, but that is damage as well.
            changed[18..20].copy_from_slice(&machine.e_machine().to_le_bytes());
            changed[at..at + bytes.len()].copy_from_slice(&bytes);
            changed.truncate(len.max(1));
            look_at_everything(&changed);
        }
    }
}

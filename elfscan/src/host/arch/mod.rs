//! How imports are called, by machine: one file each, with the same function.

mod x86_64;

use goblin::elf::header::EM_X86_64;
use statify_elf::ElfFile;

/// How a module uses one of its imports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Its calls; ascending.
    pub calls: Vec<Call>,
    /// Its address is taken, so that there may be calls that cannot be seen.
    pub taken: bool,
}

/// A call of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The address of the instruction, before any bias.
    pub at: u64,
    /// The first arguments that are integers or pointers, where they are constants.
    pub arguments: [Option<u64>; 4],
}

/// How the code of `elf` uses the imports whose addresses the loader writes to these words (before
/// any bias), one list of words for each import; `None` for machines whose code is not decoded.
pub fn uses(elf: &ElfFile<'_>, imports: &[Vec<u64>]) -> Option<Vec<Uses>> {
    match elf.header().e_machine {
        EM_X86_64 if elf.is_64() && elf.is_little_endian() => Some(x86_64::uses(elf, imports)),
        _ => None,
    }
}

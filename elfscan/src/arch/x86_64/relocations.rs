//! Relocations (psABI, "Relocation Types").

use goblin::elf::reloc;

const R_X86_64_TLSDESC: u32 = 36;

/// What a file has in the word that a relocation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileValue {
    /// The addend, if the linker writes it.
    Addend,
    /// Zero.
    Zero,
    /// Zero, and in the word behind it, too.
    TwoZeros,
    /// What [`lazy_targets`] says.
    Lazy,
    /// Not a word, or nothing that is in the file.
    Unknown,
}

/// By R_X86_64_*.
pub fn file_value(kind: u32) -> FileValue {
    match kind {
        reloc::R_X86_64_RELATIVE => FileValue::Addend,
        reloc::R_X86_64_64
        | reloc::R_X86_64_GLOB_DAT
        | reloc::R_X86_64_DTPMOD64
        | reloc::R_X86_64_DTPOFF64
        | reloc::R_X86_64_TPOFF64 => FileValue::Zero,
        R_X86_64_TLSDESC => FileValue::TwoZeros,
        reloc::R_X86_64_JUMP_SLOT | reloc::R_X86_64_IRELATIVE => FileValue::Lazy,
        _ => FileValue::Unknown,
    }
}

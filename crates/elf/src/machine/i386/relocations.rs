//! The types of relocations (Intel386 psABI, "Relocation Types"; for thread-local memory: ELF Handling For
//! Thread-Local Storage). Addends stand in the words themselves: DT_REL.

use goblin::elf::header::EM_386;
use goblin::elf::reloc::{
    R_386_8, R_386_16, R_386_32, R_386_COPY, R_386_GLOB_DAT, R_386_IRELATIVE, R_386_JMP_SLOT,
    R_386_NONE, R_386_NUM, R_386_PC8, R_386_PC16, R_386_RELATIVE, R_386_TLS_DESC,
    R_386_TLS_DTPMOD32, R_386_TLS_DTPOFF32, R_386_TLS_TPOFF, R_386_TLS_TPOFF32, r_to_str,
};

use crate::machine::{FileValue, Meaning};

/// See [`crate::machine::Machine::relative`].
pub const RELATIVE: u32 = R_386_RELATIVE;

/// See [`crate::machine::Machine::relocation`].
pub fn meaning(kind: u32) -> Option<Meaning> {
    Some(match kind {
        R_386_NONE => return None,
        R_386_32 => Meaning::Symbol,
        R_386_COPY => Meaning::Copy,
        R_386_GLOB_DAT => Meaning::GlobalData,
        R_386_JMP_SLOT => Meaning::JumpSlot,
        R_386_RELATIVE => Meaning::Relative,
        R_386_TLS_DTPMOD32 => Meaning::TlsModule,
        R_386_TLS_DTPOFF32 => Meaning::TlsOffset,
        R_386_TLS_TPOFF => Meaning::ThreadOffset,
        R_386_TLS_TPOFF32 => Meaning::NegatedThreadOffset,
        R_386_TLS_DESC => Meaning::TlsDescriptor,
        R_386_IRELATIVE => Meaning::Indirect,
        R_386_16 | R_386_PC16 => Meaning::Other(2),
        R_386_8 | R_386_PC8 => Meaning::Other(1),
        _ => Meaning::Other(4),
    })
}

/// See [`crate::machine::Machine::relocation_name`].
pub fn name(kind: u32) -> String {
    match kind {
        R_386_JMP_SLOT => "R_386_JUMP_SLOT".into(),
        _ if kind < R_386_NUM => format!("R_{}", r_to_str(kind, EM_386)),
        _ => format!("R_386 {kind}"),
    }
}

/// See [`crate::machine::Machine::file_value`]. Addends stand in the words: that of an IRELATIVE is its resolver's
/// address, and is lost with the word, as is what is added to a symbol's address.
pub fn file_value(kind: u32) -> FileValue {
    match kind {
        R_386_RELATIVE => FileValue::Addend,
        R_386_GLOB_DAT | R_386_TLS_DTPMOD32 => FileValue::Zero,
        R_386_JMP_SLOT => FileValue::Lazy,
        _ => FileValue::Unknown,
    }
}

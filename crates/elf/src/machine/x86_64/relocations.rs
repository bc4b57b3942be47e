//! The types of relocations (x86-64 psABI, "Relocation Types").

use goblin::elf::reloc::{
    R_X86_64_8, R_X86_64_16, R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_COPY,
    R_X86_64_DTPMOD64, R_X86_64_DTPOFF32, R_X86_64_DTPOFF64, R_X86_64_GLOB_DAT, R_X86_64_GOT32,
    R_X86_64_GOTPC32, R_X86_64_GOTPCREL, R_X86_64_GOTTPOFF, R_X86_64_IRELATIVE, R_X86_64_JUMP_SLOT,
    R_X86_64_NONE, R_X86_64_PC8, R_X86_64_PC16, R_X86_64_PC32, R_X86_64_PLT32, R_X86_64_RELATIVE,
    R_X86_64_RELATIVE64, R_X86_64_SIZE32, R_X86_64_TLSDESC, R_X86_64_TLSGD, R_X86_64_TLSLD,
    R_X86_64_TPOFF32, R_X86_64_TPOFF64,
};

use crate::machine::{FileValue, Meaning};

/// See [`crate::machine::Machine::relative`].
pub const RELATIVE: u32 = R_X86_64_RELATIVE;

/// See [`crate::machine::Machine::relocation`].
pub fn meaning(kind: u32) -> Option<Meaning> {
    Some(match kind {
        R_X86_64_NONE => return None,
        R_X86_64_64 => Meaning::Symbol,
        R_X86_64_COPY => Meaning::Copy,
        R_X86_64_GLOB_DAT => Meaning::GlobalData,
        R_X86_64_JUMP_SLOT => Meaning::JumpSlot,
        R_X86_64_RELATIVE | R_X86_64_RELATIVE64 => Meaning::Relative,
        R_X86_64_DTPMOD64 => Meaning::TlsModule,
        R_X86_64_DTPOFF64 => Meaning::TlsOffset,
        R_X86_64_TPOFF64 => Meaning::ThreadOffset,
        R_X86_64_TLSDESC => Meaning::TlsDescriptor,
        R_X86_64_IRELATIVE => Meaning::Indirect,
        R_X86_64_16 | R_X86_64_PC16 => Meaning::Other(2),
        R_X86_64_8 | R_X86_64_PC8 => Meaning::Other(1),
        R_X86_64_PC32 | R_X86_64_GOT32 | R_X86_64_PLT32 | R_X86_64_GOTPCREL | R_X86_64_32
        | R_X86_64_32S | R_X86_64_TLSGD | R_X86_64_TLSLD | R_X86_64_DTPOFF32
        | R_X86_64_GOTTPOFF | R_X86_64_TPOFF32 | R_X86_64_GOTPC32 | R_X86_64_SIZE32 => {
            Meaning::Other(4)
        }
        _ => Meaning::Other(8),
    })
}

/// See [`crate::machine::Machine::relocation_name`].
pub fn name(kind: u32) -> String {
    let name = match kind {
        R_X86_64_64 => "64",
        R_X86_64_COPY => "COPY",
        R_X86_64_GLOB_DAT => "GLOB_DAT",
        R_X86_64_JUMP_SLOT => "JUMP_SLOT",
        R_X86_64_RELATIVE => "RELATIVE",
        R_X86_64_DTPMOD64 => "DTPMOD64",
        R_X86_64_DTPOFF64 => "DTPOFF64",
        R_X86_64_TPOFF64 => "TPOFF64",
        R_X86_64_TLSDESC => "TLSDESC",
        R_X86_64_IRELATIVE => "IRELATIVE",
        R_X86_64_RELATIVE64 => "RELATIVE64",
        _ => return format!("R_X86_64 {kind}"),
    };
    format!("R_X86_64_{name}")
}

/// See [`crate::machine::Machine::file_value`].
pub fn file_value(kind: u32) -> FileValue {
    match kind {
        R_X86_64_RELATIVE => FileValue::Addend,
        R_X86_64_64 | R_X86_64_GLOB_DAT | R_X86_64_DTPMOD64 | R_X86_64_DTPOFF64
        | R_X86_64_TPOFF64 => FileValue::Zero,
        R_X86_64_TLSDESC => FileValue::TwoZeros,
        R_X86_64_JUMP_SLOT | R_X86_64_IRELATIVE => FileValue::Lazy,
        _ => FileValue::Unknown,
    }
}

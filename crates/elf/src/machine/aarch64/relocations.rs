//! The types of relocations (aaelf64, "Relocation", codes as in LP64).

use goblin::elf::header::EM_AARCH64;
use goblin::elf::reloc::{
    R_AARCH64_ABS16, R_AARCH64_ABS32, R_AARCH64_ABS64, R_AARCH64_COPY, R_AARCH64_GLOB_DAT,
    R_AARCH64_IRELATIVE, R_AARCH64_JUMP_SLOT, R_AARCH64_NONE, R_AARCH64_PREL16, R_AARCH64_PREL32,
    R_AARCH64_PREL64, R_AARCH64_RELATIVE, R_AARCH64_TLS_DTPMOD, R_AARCH64_TLS_DTPREL,
    R_AARCH64_TLS_TPREL, R_AARCH64_TLSDESC, r_to_str,
};

use crate::machine::{FileValue, Meaning};

/// See [`crate::machine::Machine::relative`].
pub const RELATIVE: u32 = R_AARCH64_RELATIVE;

/// The other number of R_AARCH64_NONE, which was withdrawn, and still is to be heeded.
const WITHDRAWN: u32 = 256;
/// The first of those that loaders process.
const FIRST_DYNAMIC: u32 = R_AARCH64_COPY;

/// See [`crate::machine::Machine::relocation`].
pub fn meaning(kind: u32) -> Option<Meaning> {
    Some(match kind {
        R_AARCH64_NONE | WITHDRAWN => return None,
        R_AARCH64_ABS64 => Meaning::Symbol,
        R_AARCH64_COPY => Meaning::Copy,
        R_AARCH64_GLOB_DAT => Meaning::GlobalData,
        R_AARCH64_JUMP_SLOT => Meaning::JumpSlot,
        R_AARCH64_RELATIVE => Meaning::Relative,
        R_AARCH64_TLS_DTPMOD => Meaning::TlsModule,
        R_AARCH64_TLS_DTPREL => Meaning::TlsOffset,
        R_AARCH64_TLS_TPREL => Meaning::ThreadOffset,
        R_AARCH64_TLSDESC => Meaning::TlsDescriptor,
        R_AARCH64_IRELATIVE => Meaning::Indirect,
        R_AARCH64_ABS16 | R_AARCH64_PREL16 => Meaning::Other(2),
        R_AARCH64_PREL64 => Meaning::Other(8),
        R_AARCH64_ABS32 | R_AARCH64_PREL32 => Meaning::Other(4),
        // Of what linkers process most is about an instruction.
        _ if kind < FIRST_DYNAMIC => Meaning::Other(4),
        _ => Meaning::Other(8),
    })
}

/// See [`crate::machine::Machine::relocation_name`].
pub fn name(kind: u32) -> String {
    match (kind, r_to_str(kind, EM_AARCH64)) {
        (R_AARCH64_TLS_DTPMOD | R_AARCH64_TLS_DTPREL | R_AARCH64_TLS_TPREL, name) => {
            format!("R_{name}64")
        }
        (_, "R_UNKNOWN_AARCH64") => format!("R_AARCH64 {kind}"),
        (_, name) => format!("R_{name}"),
    }
}

/// See [`crate::machine::Machine::file_value`]. The addend of a descriptor stands in its second word, too, as
/// GNU's linker leaves it; the loaders use the relocation's.
pub fn file_value(kind: u32) -> FileValue {
    match kind {
        R_AARCH64_RELATIVE => FileValue::Addend,
        R_AARCH64_ABS64 | R_AARCH64_GLOB_DAT | R_AARCH64_TLS_DTPMOD | R_AARCH64_TLS_DTPREL
        | R_AARCH64_TLS_TPREL => FileValue::Zero,
        R_AARCH64_TLSDESC => FileValue::TwoZeros,
        R_AARCH64_JUMP_SLOT | R_AARCH64_IRELATIVE => FileValue::Lazy,
        _ => FileValue::Unknown,
    }
}

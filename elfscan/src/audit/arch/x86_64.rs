//! Relocations of x86-64 and what they leave in memory (psABI, "Relocation Types"), and the form of its
//! procedure linkage table.

/// What a relocation leaves in the word that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The bias plus the addend.
    Relative,
    /// The symbol's address, plus the addend.
    Symbol,
    /// The symbol's address.
    GlobalData,
    /// The symbol's address; before the first call, if binding is lazy, the call's own stub.
    JumpSlot,
    /// What the function at bias plus addend answered.
    Indirect,
    /// The number of the module that defines the symbol.
    TlsModule,
    /// The symbol's offset in its module's thread-local memory.
    TlsOffset,
    /// The same from the thread pointer.
    ThreadOffset,
    /// A function of the loader's and its argument: 16 bytes.
    TlsDescriptor,
    /// A copy of another module's variable.
    Copy,
    /// Something else in so many bytes.
    Other(u64),
}

impl Meaning {
    /// Of R_X86_64_*; none of R_X86_64_NONE.
    pub fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            0 => return None,
            1 => Self::Symbol,
            5 => Self::Copy,
            6 => Self::GlobalData,
            7 => Self::JumpSlot,
            8 | 38 => Self::Relative,
            16 => Self::TlsModule,
            17 => Self::TlsOffset,
            18 => Self::ThreadOffset,
            36 => Self::TlsDescriptor,
            37 => Self::Indirect,
            12 | 13 => Self::Other(2),
            14 | 15 => Self::Other(1),
            2 | 3 | 4 | 9 | 10 | 11 | 19..=23 | 26 | 32 => Self::Other(4),
            _ => Self::Other(8),
        })
    }

    /// How many bytes it writes; none for what depends on the symbol.
    pub fn size(self) -> Option<u64> {
        match self {
            Self::TlsDescriptor => Some(16),
            Self::Other(size) => Some(size),
            Self::Copy => None,
            _ => Some(8),
        }
    }
}

/// What readelf calls a relocation.
pub fn relocation_name(kind: u32) -> String {
    let name = match kind {
        1 => "64",
        5 => "COPY",
        6 => "GLOB_DAT",
        7 => "JUMP_SLOT",
        8 => "RELATIVE",
        16 => "DTPMOD64",
        17 => "DTPOFF64",
        18 => "TPOFF64",
        36 => "TLSDESC",
        37 => "IRELATIVE",
        38 => "RELATIVE64",
        _ => return format!("R_X86_64 {kind}"),
    };
    format!("R_X86_64_{name}")
}

/// If this is the code of a stub that has the loader bind its slot: which entry of DT_JMPREL that is
/// (psABI, "Procedure Linkage Table"; with ENDBR64 and BND prefixes for IBT and MPX).
pub fn lazy_stub(code: &[u8]) -> Option<u32> {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    let code = code.strip_prefix(&ENDBR64).unwrap_or(code);
    let (index, jump) = code.strip_prefix(&[0x68])?.split_first_chunk::<4>()?;
    let jump = jump.strip_prefix(&[0xf2]).unwrap_or(jump);
    (jump.first() == Some(&0xe9)).then(|| u32::from_le_bytes(*index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_with_and_without_branch_tracking() {
        assert_eq!(lazy_stub(&[0x68, 3, 0, 0, 0, 0xe9, 0, 0]), Some(3));
        assert_eq!(lazy_stub(&[0xf3, 0x0f, 0x1e, 0xfa, 0x68, 1, 1, 0, 0, 0xf2, 0xe9]), Some(257));
        assert_eq!(lazy_stub(&[0x68, 3, 0, 0, 0, 0xff]), None);
        assert_eq!(lazy_stub(&[0x68, 3]), None);
    }
}

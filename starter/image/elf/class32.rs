//! Structures of files of class ELFCLASS32 (gABI).

/// The size of the ELF header, in bytes.
pub const HEADER: u64 = 52;
/// Where the ELF header has e_phoff (a word) and e_phnum (2 bytes).
pub const PHOFF: u64 = 28;
pub const PHNUM: u64 = 44;

/// A program header.
#[repr(C)]
pub struct ProgramHeader {
    pub kind: u32,
    pub offset: u32,
    pub vaddr: u32,
    pub paddr: u32,
    pub filesz: u32,
    pub memsz: u32,
    pub flags: u32,
    pub align: u32,
}

/// A symbol.
#[repr(C)]
pub struct Symbol {
    pub name: u32,
    pub value: u32,
    pub size: u32,
    pub info: u8,
    pub other: u8,
    pub section: u16,
}

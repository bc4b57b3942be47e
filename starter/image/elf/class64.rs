//! Structures of files of class ELFCLASS64 (gABI).

/// The size of the ELF header, in bytes.
pub const HEADER: u64 = 64;
/// Where the ELF header has e_phoff (a word) and e_phnum (2 bytes).
pub const PHOFF: u64 = 32;
pub const PHNUM: u64 = 56;

/// A program header.
#[repr(C)]
pub struct ProgramHeader {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub vaddr: u64,
    pub paddr: u64,
    pub filesz: u64,
    pub memsz: u64,
    pub align: u64,
}

/// A symbol.
#[repr(C)]
pub struct Symbol {
    pub name: u32,
    pub info: u8,
    pub other: u8,
    pub section: u16,
    pub value: u64,
    pub size: u64,
}

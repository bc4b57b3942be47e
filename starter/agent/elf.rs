//! The few ELF structures that the agent makes (gABI).

use crate::arch::MACHINE;

/// `Elf64_Ehdr`.
#[repr(C)]
pub struct Header {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    phoff: u64,
    shoff: u64,
    flags: u32,
    ehsize: u16,
    phentsize: u16,
    phnum: u16,
    shentsize: u16,
    shnum: u16,
    shstrndx: u16,
}

/// `Elf64_Phdr`.
#[repr(C)]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub address: u64,
    pub physical: u64,
    pub file_len: u64,
    pub len: u64,
    pub align: u64,
}

pub const PT_LOAD: u32 = 1;
pub const PT_DYNAMIC: u32 = 2;
pub const PT_GNU_STACK: u32 = 0x6474_e551;
/// PF_R and PF_W.
pub const READ_WRITE: u32 = 6;
pub const DT_NEEDED: u64 = 1;
pub const DT_STRTAB: u64 = 5;
pub const DT_SYMTAB: u64 = 6;
pub const DT_STRSZ: u64 = 10;
pub const DT_SYMENT: u64 = 11;

impl Header {
    /// The header of a shared library with `segments` program headers behind it.
    pub fn library(segments: u16) -> Self {
        const ET_DYN: u16 = 3;
        Self {
            ident: *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
            kind: ET_DYN,
            machine: MACHINE,
            version: 1,
            entry: 0,
            phoff: size_of::<Self>() as u64,
            shoff: 0,
            flags: 0,
            ehsize: size_of::<Self>() as u16,
            phentsize: size_of::<Segment>() as u16,
            phnum: segments,
            shentsize: 0,
            shnum: 0,
            shstrndx: 0,
        }
    }

    /// As it stands in a file.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the structure has no padding: 64 bytes in fields at multiples of their sizes.
        unsafe { core::slice::from_raw_parts((self as *const Self).cast(), size_of::<Self>()) }
    }
}

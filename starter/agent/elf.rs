//! The few ELF structures that the agent makes (gABI).

#[cfg_attr(target_pointer_width = "64", path = "elf/class64.rs")]
#[cfg_attr(target_pointer_width = "32", path = "elf/class32.rs")]
mod class;

pub use class::{SYMBOL, Segment};

use class::CLASS;

use crate::arch::MACHINE;

/// What has the size of an address.
pub type Word = usize;

/// `Elf32_Ehdr` or `Elf64_Ehdr`.
#[repr(C)]
pub struct Header {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: Word,
    phoff: Word,
    shoff: Word,
    flags: u32,
    ehsize: u16,
    phentsize: u16,
    phnum: u16,
    shentsize: u16,
    shnum: u16,
    shstrndx: u16,
}

pub const PT_LOAD: u32 = 1;
pub const PT_DYNAMIC: u32 = 2;
pub const PT_GNU_STACK: u32 = 0x6474_e551;
/// PF_R and PF_W.
pub const READ_WRITE: u32 = 6;
pub const DT_NEEDED: Word = 1;
pub const DT_STRTAB: Word = 5;
pub const DT_SYMTAB: Word = 6;
pub const DT_STRSZ: Word = 10;
pub const DT_SYMENT: Word = 11;

impl Header {
    /// The header of a shared library with `segments` program headers behind it.
    pub fn library(segments: u16) -> Self {
        const ET_DYN: u16 = 3;
        Self {
            ident: [0x7f, b'E', b'L', b'F', CLASS, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            kind: ET_DYN,
            machine: MACHINE,
            version: 1,
            entry: 0,
            phoff: size_of::<Self>(),
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
        // SAFETY: the structure has no padding: its fields are at multiples of their sizes, and so is its end.
        unsafe { core::slice::from_raw_parts((self as *const Self).cast(), size_of::<Self>()) }
    }
}

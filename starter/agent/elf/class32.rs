//! Structures of files of class ELFCLASS32 (gABI).

/// ELFCLASS32.
pub const CLASS: u8 = 1;
/// Words of a symbol.
pub const SYMBOL: usize = 4;

/// `Elf32_Phdr`.
#[repr(C)]
pub struct Segment {
    pub kind: u32,
    pub offset: usize,
    pub address: usize,
    pub physical: usize,
    pub file_len: usize,
    pub len: usize,
    pub flags: u32,
    pub align: usize,
}

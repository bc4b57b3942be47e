//! Structures of files of class ELFCLASS64 (gABI).

/// ELFCLASS64.
pub const CLASS: u8 = 2;
/// Words of a symbol.
pub const SYMBOL: usize = 3;

/// `Elf64_Phdr`.
#[repr(C)]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: usize,
    pub address: usize,
    pub physical: usize,
    pub file_len: usize,
    pub len: usize,
    pub align: usize,
}

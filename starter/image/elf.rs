//! What is of the size of an address: words of memory, and the structures of ELF files (gABI). A place, and an
//! address that is computed with, has 64 bits everywhere.

#[cfg_attr(target_pointer_width = "64", path = "elf/class64.rs")]
#[cfg_attr(target_pointer_width = "32", path = "elf/class32.rs")]
mod class;

pub use class::*;

/// A word that holds an address.
pub type Word = usize;

/// The size of a word, in bytes.
pub const WORD: u64 = size_of::<Word>() as u64;
/// The size of a program header, in bytes.
pub const PROGRAM_HEADER: u64 = size_of::<ProgramHeader>() as u64;

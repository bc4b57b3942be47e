//! The memory of an image: its modules, and what in them the starter writes.

use std::ops::Range;

use statify_elf::PAGE;

use super::known::Value;
use crate::place::Place;

/// One mapped ELF object, or the loader's anonymous memory.
#[derive(Clone, Debug)]
pub struct Module {
    /// The object, by index; `None` for anonymous memory.
    pub object: Option<usize>,
    /// The group that slides alike: the program, one of libraries. None of those at fixed addresses.
    pub group: Option<usize>,
    /// Where it lies.
    pub range: Range<Place>,
}

/// A run of pages with the same permissions and origin.
#[derive(Clone, Debug)]
pub struct Region {
    /// Where it lies.
    pub range: Range<Place>,
    /// PROT_* at the hand-off.
    pub prot: u32,
    /// The object (by index) and the offset in it of the first page.
    pub file: Option<(usize, u64)>,
    /// The module, by index.
    pub module: usize,
}

/// A word that holds an address in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slide {
    /// The module it points into, by index.
    pub target: usize,
    /// Where the word is.
    pub at: Place,
}

/// A word that gets a value known only at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// Where.
    pub at: Place,
    /// Bytes: 4, or as many as a word has.
    pub width: u8,
    /// Which value.
    pub value: Value,
}

/// The contents of a page.
pub type PageBytes = Box<[u8; PAGE as usize]>;

//! The machines of files, by their names.

use std::fmt;

use serde::{Serialize, Serializer};
use statify_elf::machine;

/// The machine that a file is for: e_machine and the class, 32 or 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    /// EM_*.
    pub number: u16,
    /// In bits.
    pub class: u8,
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match machine::name(self.number, self.class) {
            Some(name) => out.write_str(name),
            None => write!(out, "machine {} ({} bits)", self.number, self.class),
        }
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

//! What is found in a module's code, whatever the machine.

use std::ops::Range;

/// A part of a module's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePart {
    /// The name that linkers give it.
    pub name: &'static str,
    /// Its addresses in the file.
    pub range: Range<u64>,
    /// The size of its entries in bytes; 0 if it has none.
    pub entry: u64,
}

/// How a module uses one of its imports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Its calls; ascending.
    pub calls: Vec<Call>,
    /// Its address is taken, so that there may be calls that cannot be seen.
    pub taken: bool,
}

/// A call of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The address of the instruction, before any bias.
    pub at: u64,
    /// The first arguments that are integers or pointers, where they are constants.
    pub arguments: [Option<u64>; 4],
}

/// The instructions of a file that tell of the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSites {
    /// Their addresses, before any bias; ascending.
    pub addresses: Vec<u64>,
    /// No bytes that look like one are left that could not be decoded.
    pub complete: bool,
}

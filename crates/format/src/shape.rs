//! Options that shape an output: with the same program and the same CPU, the same shape gives the same
//! bytes.

use serde::{Deserialize, Serialize};
use statify_elf::PAGE;

/// What an output is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Addresses are chosen now, not at each start.
    pub fixed: bool,
    /// File offsets of modules are multiples of this power of two.
    pub align: u64,
    /// How random addresses are; of no meaning where they are fixed.
    pub randomness: Randomness,
    /// When what is constant is sealed.
    pub seal: Seal,
    /// Symbols and debug information of the program are left out.
    pub strip: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            fixed: false,
            align: PAGE,
            randomness: Randomness::default(),
            seal: Seal::default(),
            strip: false,
        }
    }
}

/// How random the addresses of an output are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Randomness {
    /// To the page, on every file system, the heap's as well.
    #[default]
    Full,
    /// What the kernel gives: for a program of 4 MiB and more, and for the heap, nine to ten bits
    /// fewer; two system calls and, for such a program, some mappings fewer at each start.
    Kernel,
}

/// When an output seals what is constant (mseal(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seal {
    /// Unless a seccomp filter is in force, which might end the process for a system call that it
    /// does not know.
    #[default]
    Unfiltered,
    /// At each start.
    Always,
    /// Never.
    Never,
}

/// Whether libraries that are not embedded come from the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostLibs {
    /// As ever.
    #[default]
    Allow,
    /// dlopen fails.
    Deny,
}

//! The names of machines.

use std::fmt;

use goblin::elf::header as elf;
use serde::{Serialize, Serializer};

/// The machine that a file is for: e_machine and the class, 32 or 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    /// EM_*.
    pub number: u16,
    /// In bits.
    pub class: u8,
}

const EM_LOONGARCH: u16 = 258;
const EM_BPF: u16 = 247;

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What uname(2) says of such a machine, where there is one name for both classes.
        let name = match (self.number, self.class) {
            (elf::EM_X86_64, 64) => "x86-64",
            (elf::EM_X86_64, _) => "x32",
            (elf::EM_386, _) => "i386",
            (elf::EM_AARCH64, 64) => "aarch64",
            (elf::EM_AARCH64, _) => "aarch64 ilp32",
            (elf::EM_ARM, _) => "arm",
            (elf::EM_RISCV, 64) => "riscv64",
            (elf::EM_RISCV, _) => "riscv32",
            (elf::EM_PPC64, _) => "ppc64",
            (elf::EM_PPC, _) => "ppc",
            (elf::EM_S390, 64) => "s390x",
            (elf::EM_S390, _) => "s390",
            (elf::EM_MIPS, 64) => "mips64",
            (elf::EM_MIPS, _) => "mips",
            (elf::EM_SPARCV9, _) => "sparc64",
            (elf::EM_SPARC, _) => "sparc",
            (EM_LOONGARCH, _) => "loongarch",
            (EM_BPF, _) => "bpf",
            (number, class) => return write!(out, "machine {number} ({class} bits)"),
        };
        out.write_str(name)
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

//! Names of all machines at once, for people, and the directories that several of them share.

use goblin::elf::header as elf;
use object::elf::{EM_BPF, EM_LOONGARCH};

/// What people call the machine of a file with this e_machine, whose addresses have so many bits (32 or 64):
/// what uname(2) says of it, where there is one name for both. `None` for one that nobody is known to use.
pub fn name(e_machine: u16, bits: u8) -> Option<&'static str> {
    Some(match (e_machine, bits) {
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
        _ => return None,
    })
}

/// The machine of a file in a sentence: its name, if it has one, and the two numbers that say it.
pub fn describe(e_machine: u16, bits: u8) -> String {
    let numbers = format!("ELF machine {e_machine}, {bits}-bit");
    name(e_machine, bits).map_or_else(|| numbers.clone(), |name| format!("{name}: {numbers}"))
}

/// Directories of the root that are links into /usr on many systems, and no links on others.
pub const LINKED_DIRECTORIES: [&str; 4] = ["/lib", "/lib64", "/lib32", "/libx32"];

/// Directories in which libraries lie on systems that have one kind only; see
/// [`super::Machine::library_directories`] for those of one machine.
pub const LIBRARY_DIRECTORIES: [&str; 3] = ["/lib", "/usr/lib", "/usr/local/lib"];

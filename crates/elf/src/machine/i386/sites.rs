//! Where a file executes CPUID.

use crate::ElfFile;
use crate::machine::CpuSites;
use crate::machine::x86_64::sites::sites_of;

/// See [`crate::machine::Machine::cpu_sites`]: the same instruction as on x86-64, among others of its mode.
pub fn cpu_sites(elf: &ElfFile<'_>) -> CpuSites {
    sites_of(elf, 32)
}

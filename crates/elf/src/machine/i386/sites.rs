//! Where a file executes CPUID.

use crate::ElfFile;
use crate::machine::CpuidSites;
use crate::machine::x86_64::sites::sites_of;

/// See [`crate::machine::Machine::cpuid_sites`]: the same instruction as on x86-64, among others of its mode.
pub fn cpuid_sites(elf: &ElfFile<'_>) -> CpuidSites {
    sites_of(elf, 32)
}

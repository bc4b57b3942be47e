//! Where a file reads what the CPU is: registers of its identification (Arm ARM, "AArch64 System Register
//! Encoding"; the kernel answers for it where HWCAP_CPUID is set).

use crate::ElfFile;
use crate::machine::CpuSites;

/// `mrs`, of the registers that op0 3, op1 0 and CRn 0 name: MIDR_EL1, ID_AA64ISAR0_EL1 and so on.
const IDENTIFICATION: u32 = 0xd538_0000;
/// All of the instruction but CRm, op2 and the register that it writes.
const FIXED: u32 = 0xffff_f000;
/// `mrs` of CTR_EL0 and DCZID_EL0: lines of caches, and what `dc zva` clears.
const CACHES: [u32; 2] = [0xd53b_0020, 0xd53b_00e0];
/// All of the instruction but the register that it writes.
const ALL_BUT_REGISTER: u32 = 0xffff_ffe0;

/// See [`crate::machine::Machine::cpu_sites`]. Every four bytes of code are an instruction, or constants
/// between functions, of which a few may look like one.
pub fn cpu_sites(elf: &ElfFile<'_>) -> CpuSites {
    let mut addresses = Vec::new();
    for (load, bytes) in elf.distinct_loads() {
        if !load.is_executable() {
            continue;
        }
        let instructions = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let at = (load.p_vaddr..).step_by(4).zip(instructions);
        addresses.extend(at.filter(|&(_, instruction)| tells(instruction)).map(|(at, _)| at));
    }
    addresses.sort_unstable();
    CpuSites { addresses, complete: true }
}

pub(super) fn tells(instruction: u32) -> bool {
    instruction & FIXED == IDENTIFICATION || CACHES.contains(&(instruction & ALL_BUT_REGISTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_that_tell_of_the_cpu() {
        // mrs x0, midr_el1; mrs x1, id_aa64isar0_el1; mrs x3, dczid_el0; mrs x2, ctr_el0.
        assert!([0xd538_0000, 0xd538_0601, 0xd53b_00e3, 0xd53b_0022].into_iter().all(tells));
        // mrs x0, tpidr_el0; mrs x0, fpcr; msr tpidr_el0, x0.
        assert!(![0xd53b_d040, 0xd53b_4400, 0xd51b_d040].into_iter().any(tells));
    }
}

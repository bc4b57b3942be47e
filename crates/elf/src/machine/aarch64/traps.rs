//! Instructions that tell of the CPU, made to trap in a capture, and what they answer there (Arm ARM, "AArch64 System
//! Register Descriptions").

use super::cpu::Cpu;
use super::registers::Registers;
use super::sites;

/// An instruction that tells of the CPU, as bytes.
pub type CpuInstruction = [u8; 4];

/// `udf #0`, an invalid instruction on every CPU.
pub const UNDEFINED: CpuInstruction = [0; 4];

/// The size of the longest instruction that traps, in bytes.
pub const LONGEST_TRAP: usize = 4;

/// The registers, as `mrs` names them (op0, op1, CRn, CRm and op2, from bit 5 on).
const MIDR_EL1: u32 = 0xd538_0000;
const DCZID_EL0: u32 = 0xd53b_00e0;
const CTR_EL0: u32 = 0xd53b_0020;
/// All of the instruction but the register that it writes.
const ALL_BUT_REGISTER: u32 = 0xffff_ffe0;
/// The register that stands for none.
const NONE: u32 = 31;

/// What instructions that trap answer in a capture.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// Not asked: nobody reads a counter.
    pub timestamp: u64,
    /// Whose.
    pub cpu: Cpu,
}

/// Whether these bytes are such an instruction.
pub fn tells_of_cpu(bytes: CpuInstruction) -> bool {
    sites::tells(u32::from_le_bytes(bytes))
}

impl Registers {
    /// If these bytes, at the instruction pointer, are an instruction that traps: does it, and goes on behind it.
    pub fn emulate(&mut self, instruction: [u8; LONGEST_TRAP], answers: &Answers) -> bool {
        if !tells_of_cpu(instruction) {
            return false;
        }
        let instruction = u32::from_le_bytes(instruction);
        let value = match instruction & ALL_BUT_REGISTER {
            MIDR_EL1 => answers.cpu.midr(),
            DCZID_EL0 => answers.cpu.dczid(),
            CTR_EL0 => answers.cpu.ctr(),
            // Of what the CPU has, AT_HWCAP says more.
            _ => 0,
        };
        let to = instruction & !ALL_BUT_REGISTER;
        if to != NONE {
            self.general.regs[to as usize] = value;
        }
        self.general.pc = self.general.pc.wrapping_add(4);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_the_cpu_are_answered() {
        // SAFETY: numbers, for which all zeros are values.
        let zeros: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        let mut regs = Registers::from(zeros);
        let answers = Answers { timestamp: 0, cpu: Cpu::Least };
        // mrs x3, dczid_el0; mrs x1, midr_el1; nop.
        assert!(regs.emulate((DCZID_EL0 | 3).to_le_bytes(), &answers));
        assert!(regs.emulate((MIDR_EL1 | 1).to_le_bytes(), &answers));
        assert!(!regs.emulate(0xd503_201fu32.to_le_bytes(), &answers));
        assert_eq!(regs.general.regs[3], Cpu::Least.dczid());
        assert_eq!((regs.general.regs[1], regs.general.pc), (Cpu::Least.midr(), 8));
    }
}

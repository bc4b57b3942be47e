//! Instructions that trap in a capture, and what they answer there (Intel SDM vol. 2).

use super::cpu::Cpu;
use super::registers::Registers;
use super::sites::CPUID;

/// An instruction that tells of the CPU, as bytes.
pub type CpuInstruction = [u8; 2];

/// `ud2`, as long as `cpuid`, and an invalid instruction on every CPU.
pub const UNDEFINED: CpuInstruction = [0x0f, 0x0b];

/// Whether these bytes are such an instruction.
pub fn tells_of_cpu(bytes: CpuInstruction) -> bool {
    bytes == CPUID
}

/// What instructions that trap answer in a capture.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// The time-stamp counter. glibc's loader times itself with it (HP_TIMING_NOW), which would make
    /// every capture another.
    pub timestamp: u64,
    /// Whose CPUID.
    pub cpu: Cpu,
}

/// The size of the longest of these instructions, in bytes.
pub const LONGEST_TRAP: usize = 3;

impl Registers {
    /// If these bytes, at the instruction pointer, are an instruction that traps: does it, and goes on behind it.
    pub fn emulate(&mut self, instruction: [u8; LONGEST_TRAP], answers: &Answers) -> bool {
        const RDTSC: [u8; 2] = [0x0f, 0x31];
        const RDTSCP: [u8; 3] = [0x0f, 0x01, 0xf9];
        let regs = &mut self.0;
        let [first, second, _] = instruction;
        if [first, second] == CPUID {
            let answer = answers.cpu.cpuid(regs.rax as u32, regs.rcx as u32).map(u64::from);
            [regs.rax, regs.rbx, regs.rcx, regs.rdx] = answer;
            regs.rip += 2;
        } else if [first, second] == RDTSC {
            regs.rip += 2;
            [regs.rax, regs.rdx] = [answers.timestamp & 0xffff_ffff, answers.timestamp >> 32];
        } else if instruction == RDTSCP {
            regs.rip += 3;
            [regs.rax, regs.rdx] = [answers.timestamp & 0xffff_ffff, answers.timestamp >> 32];
            regs.rcx = 0;
        } else {
            return false;
        }
        true
    }
}

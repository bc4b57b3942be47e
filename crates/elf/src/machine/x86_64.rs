//! x86-64 (psABI; arch/x86/entry; Intel SDM vol. 2 for the instructions).

mod cpu;
mod redirect;
mod references;
mod sites;

use libc::user_regs_struct;

pub use cpu::{Cpu, CpuModel, Level, Vendor, cpu_identity, without_apic_id};
pub use redirect::{Code, Redirection};
pub use references::functions_that_refer_to;
pub use sites::{CPUID, CpuidSites, UNDEFINED, cpuid_sites};

/// DT_SONAME of glibc's loader.
pub const LOADER_SONAME: &[u8] = b"ld-linux-x86-64.so.2";
/// `syscall`.
pub const SYSCALL_INSTRUCTION: [u8; 2] = [0x0f, 0x05];
/// `int3`, and how far it moves the program counter.
pub const BREAKPOINT: u8 = 0xcc;

/// Registers at a system call's entry: number, arguments.
pub fn call_of(regs: &user_regs_struct) -> (i64, [u64; 6]) {
    (regs.orig_rax as i64, [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9])
}

/// Changes the arguments of the system call about to be made.
pub fn set_arguments(regs: &mut user_regs_struct, args: [u64; 6]) {
    [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
}

/// Keeps the system call about to be made from being made; it answers `result`.
pub fn skip_call(regs: &mut user_regs_struct, result: i64) {
    regs.orig_rax = u64::MAX;
    regs.rax = result as u64;
}

/// Makes the registers perform a system call by the instruction at `at`.
pub fn prepare_call(regs: &mut user_regs_struct, at: u64, number: i64, args: [u64; 6]) {
    regs.rip = at;
    regs.rax = number as u64;
    // Not in a system call, so nothing is restarted.
    regs.orig_rax = u64::MAX;
    set_arguments(regs, args);
}

/// R_X86_64_*: types of relocations that an IFUNC's address may stand in.
pub mod relocation {
    /// S + A.
    pub const WORD: u32 = 1;
    /// S.
    pub const GLOB_DAT: u32 = 6;
    /// S.
    pub const JUMP_SLOT: u32 = 7;
    /// What the resolver at B + A returns.
    pub const IRELATIVE: u32 = 37;
}

/// arch_prctl(2): whether CPUID may be executed (Linux 4.12, where the CPU or its emulation can).
pub const ARCH_SET_CPUID: u64 = 0x1012;

/// What instructions that trap answer in a capture.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// The time-stamp counter. glibc's loader times itself with it (HP_TIMING_NOW), which would make
    /// every capture another.
    pub timestamp: u64,
    /// Whose CPUID.
    pub cpu: Cpu,
}

/// If the instruction at the program counter is one that traps, does it.
pub fn emulate(regs: &mut user_regs_struct, instruction: [u8; 3], answers: &Answers) -> bool {
    match instruction {
        // cpuid
        [0x0f, 0xa2, _] => {
            let answer = answers.cpu.cpuid(regs.rax as u32, regs.rcx as u32).map(u64::from);
            [regs.rax, regs.rbx, regs.rcx, regs.rdx] = answer;
            regs.rip += 2;
        }
        // rdtsc
        [0x0f, 0x31, _] => {
            regs.rip += 2;
            [regs.rax, regs.rdx] = [answers.timestamp & 0xffff_ffff, answers.timestamp >> 32];
        }
        // rdtscp
        [0x0f, 0x01, 0xf9] => {
            regs.rip += 3;
            [regs.rax, regs.rdx] = [answers.timestamp & 0xffff_ffff, answers.timestamp >> 32];
            regs.rcx = 0;
        }
        _ => return false,
    }
    true
}

/// Bytes below the stack pointer that a leaf function may use (psABI, 3.2.2), and more.
const RED_ZONE: u64 = 4096;

/// Makes the registers call the function at `function`, which takes one argument at most.
/// Returns where its return address is to be written.
pub fn prepare_function(regs: &mut user_regs_struct, function: u64, argument: u64) -> u64 {
    regs.rip = function;
    regs.rdi = argument;
    // Not in a system call, so nothing is restarted.
    regs.orig_rax = u64::MAX;
    // A multiple of 16 before the call pushes the address.
    regs.rsp = ((regs.rsp - RED_ZONE) & !15) - 8;
    regs.rsp
}

/// The program counter.
pub fn instruction(regs: &user_regs_struct) -> u64 {
    regs.rip
}

/// Continues at another instruction.
pub fn go_to(regs: &mut user_regs_struct, address: u64) {
    regs.rip = address;
}

/// At a function's first instruction: its first argument.
pub fn first_argument(regs: &user_regs_struct) -> u64 {
    regs.rdi
}

/// What a function returned.
pub fn returned(regs: &user_regs_struct) -> u64 {
    regs.rax
}

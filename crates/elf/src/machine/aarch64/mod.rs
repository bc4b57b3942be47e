//! AArch64, with addresses of 64 bits: ELF for the Arm 64-bit Architecture (aaelf64), and its supplement of
//! thread-local memory; System V ABI for it (sysvabi64); arch/arm64 of the kernel; Arm Architecture Reference
//! Manual (Arm ARM) for instructions.
//!
//! | file | subject |
//! |---|---|
//! | `relocations.rs` | what relocations mean and leave |
//! | `plt.rs` | procedure linkage tables, .init and .fini |
//! | `padding.rs` | what lies between functions |
//! | `instruction.rs`, `follow.rs` | instructions that branch or make addresses, and constants in registers |
//! | `calls.rs` | calls of imports, and their constant arguments |
//! | `references.rs` | functions that take an address |
//! | `sites.rs` | instructions that tell of the CPU |
//! | `system_calls.rs` | the instruction |
//! | `redirect.rs` | system calls made to call something else |
//! | `registers.rs` | registers of a traced process |
//! | `traps.rs` | instructions that trap in a capture, and what they answer |
//! | `cpu.rs` | CPUs: the least, others, this one |
//! | `hwcaps.rs` | the CPU in names of directories |
//! | `branch_protection.rs` | marks of code that bears tracked branches and the like |
//! | `loader.rs` | names of loaders, and directories |

mod branch_protection;
pub mod calls;
#[cfg(target_arch = "aarch64")]
mod cpu;
mod follow;
pub mod hwcaps;
mod instruction;
pub mod loader;
pub mod padding;
pub mod plt;
pub mod redirect;
pub mod references;
#[cfg(target_arch = "aarch64")]
mod registers;
pub mod relocations;
pub mod sites;
pub mod system_calls;
#[cfg(target_arch = "aarch64")]
mod traps;

use goblin::elf::header::EM_AARCH64;

#[cfg(target_arch = "aarch64")]
pub use self::{
    cpu::{Cpu, CpuModel, cpu_identity, is_intel_here, level_here, without_apic_id},
    registers::{CALL_NUMBER, Registers, THREAD_POINTER},
    system_calls::calls_that_trap,
    traps::{Answers, CpuInstruction, LONGEST_TRAP, UNDEFINED, tells_of_cpu},
};

/// e_machine.
pub const E_MACHINE: u16 = EM_AARCH64;
/// The size of an address, in bytes.
pub const WORD: u64 = 8;
/// The smallest page that kernels are built for, in bytes: all others are multiples of it.
pub const PAGE: u64 = 4096;
/// The largest one (CONFIG_ARM64_64K_PAGES). Linkers lay files out for it.
pub const LARGEST_PAGE: u64 = 65536;
const _: () = assert!(statify_params::FRONT_GAP == LARGEST_PAGE);
/// With addresses of 48 bits (Documentation/arch/arm64/memory.rst); nothing that is not asked to be is above.
pub const ADDRESS_LIMIT: u64 = 1 << 48;
/// What the addresses of instructions are multiples of, in bytes.
pub const INSTRUCTION_ALIGNMENT: usize = 4;
/// AUDIT_ARCH_* (linux/audit.h).
pub const AUDIT: u32 = 0xc000_00b7;
/// See [`crate::machine::Machine::space`].
pub const SPACE: &crate::machine::Space = &crate::machine::space::MIDDLE;
/// uname(2).
pub const KERNEL_NAME: &str = "aarch64";
/// `brk #0`. It leaves the instruction pointer where it is.
pub const BREAKPOINT: &[u8] = &[0x00, 0x00, 0x20, 0xd4];

/// See [`super::Machine::stack_restored`]: nothing is pushed but by the call.
pub fn stack_restored(_code: &[u8], _pushed: u64) -> Option<u64> {
    None
}

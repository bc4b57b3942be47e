//! x86-64: psABI; arch/x86 of the kernel; Intel SDM and AMD APM for instructions and CPUs.
//!
//! | file | subject |
//! |---|---|
//! | `relocations.rs` | what relocations mean and leave |
//! | `plt.rs` | procedure linkage tables, .init and .fini |
//! | `calls.rs`, `arguments.rs` | calls of imports, and their constant arguments |
//! | `padding.rs` | what lies between functions |
//! | `references.rs` | functions that take an address |
//! | `sites.rs` | CPUID instructions |
//! | `redirect.rs` | system call instructions made to call something else |
//! | `registers.rs` | registers of a traced process |
//! | `traps.rs` | instructions that trap in a capture, and what they answer |
//! | `system_calls.rs` | the instruction, and calls that only this machine has |
//! | `cpu.rs`, `levels.rs`, `features.rs`, `cpuid.rs`, `here.rs`, `model.rs`, `vendor.rs` | CPUs: whose, the psABI's levels, what they have, what CPUID answers, this one |
//! | `hwcaps.rs` | the CPU in names of directories |
//! | `cet.rs` | marks of control-flow enforcement |
//! | `loader.rs` | names of loaders, and directories |

mod arguments;
pub mod calls;
mod cet;
#[cfg(target_arch = "x86_64")]
mod cpu;
#[cfg(target_arch = "x86_64")]
mod cpuid;
#[cfg(target_arch = "x86_64")]
mod features;
#[cfg(target_arch = "x86_64")]
mod here;
pub mod hwcaps;
mod levels;
pub mod loader;
#[cfg(target_arch = "x86_64")]
mod model;
pub mod padding;
pub mod plt;
pub mod redirect;
pub mod references;
#[cfg(target_arch = "x86_64")]
mod registers;
pub mod relocations;
pub mod sites;
pub mod system_calls;
#[cfg(target_arch = "x86_64")]
mod traps;
#[cfg(target_arch = "x86_64")]
mod vendor;

use goblin::elf::header::{EM_386, EM_X86_64};

#[cfg(target_arch = "x86_64")]
pub use self::{
    cpu::{Cpu, level_here},
    here::{cpu_identity, is_intel_here, without_apic_id},
    model::CpuModel,
    registers::{CALL_NUMBER, Registers, THREAD_POINTER},
    system_calls::calls_that_trap,
    traps::{Answers, CpuInstruction, LONGEST_TRAP, UNDEFINED, tells_of_cpu},
};
pub use hwcaps::OWN_PLATFORM;
pub use levels::Level;
pub use redirect::{CALL, Code, Entry, GO, near};

/// e_machine.
pub const E_MACHINE: u16 = EM_X86_64;
/// The size of an address, in bytes.
pub const WORD: u64 = 8;
/// The size of a page, in bytes (page tables' last level).
pub const PAGE: u64 = 4096;
/// The largest page that kernels map files by, in bytes.
pub const LARGEST_PAGE: u64 = PAGE;
/// With page tables of four levels (Documentation/arch/x86/x86_64/mm.rst); nothing that is not asked to be is
/// above.
pub const ADDRESS_LIMIT: u64 = 1 << 47;
/// What the addresses of instructions are multiples of, in bytes.
pub const INSTRUCTION_ALIGNMENT: usize = 1;
/// AUDIT_ARCH_* (linux/audit.h).
pub const AUDIT: u32 = 0xc000_003e;
/// See [`crate::machine::Machine::space`].
pub const SPACE: &crate::machine::Space = &crate::machine::space::WIDE;
/// uname(2).
pub const KERNEL_NAME: &str = "x86_64";
/// `int3`. It moves the instruction pointer behind itself.
pub const BREAKPOINT: &[u8] = &[0xcc];

/// Whether programs for this e_machine run on these CPUs: i386's do, too.
pub fn is_run(e_machine: u16) -> bool {
    matches!(e_machine, EM_X86_64 | EM_386)
}

/// See [`super::Machine::stack_restored`]: nothing is pushed but by the call.
pub fn stack_restored(_code: &[u8], _pushed: u64) -> Option<u64> {
    None
}

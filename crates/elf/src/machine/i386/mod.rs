//! i386: the psABI's supplement for the Intel386; ELF Handling For Thread-Local Storage; arch/x86 of the
//! kernel; Intel SDM for instructions. Programs run on the CPUs of [`super::x86_64`], which is where CPUs are
//! told apart.
//!
//! | file | subject |
//! |---|---|
//! | `relocations.rs` | what relocations mean and leave |
//! | `plt.rs` | procedure linkage tables, .init and .fini |
//! | `got.rs` | where the register points that finds constants |
//! | `calls.rs`, `arguments.rs` | calls of imports, and their constant arguments |
//! | `redirect.rs` | system calls made to call something else |
//! | `padding.rs` | what lies between functions |
//! | `references.rs` | functions that take an address |
//! | `sites.rs` | CPUID instructions |
//! | `system_calls.rs` | the instruction, and calls that only this machine has |
//! | `numbers.rs` | numbers of calls, and those of the kernel of 64 bits |
//! | `loader.rs` | names of loaders, and directories |

mod arguments;
pub mod calls;
mod got;
pub mod loader;
pub mod numbers;
pub mod padding;
pub mod plt;
pub mod redirect;
pub mod references;
pub mod relocations;
pub mod sites;
pub mod system_calls;

use goblin::elf::header::EM_386;
use iced_x86::{Decoder, DecoderOptions, Mnemonic, Register};

/// e_machine.
pub const E_MACHINE: u16 = EM_386;
/// The size of an address, in bytes.
pub const WORD: u64 = 4;
/// The size of a page, in bytes (page tables' last level).
pub const PAGE: u64 = 4096;
/// The largest page that kernels map files by, in bytes.
pub const LARGEST_PAGE: u64 = PAGE;
/// On a 64-bit kernel (arch/x86/include/asm/page_64_types.h, IA32_PAGE_OFFSET); 32-bit kernels keep the last
/// quarter, or another part, for themselves.
pub const ADDRESS_LIMIT: u64 = 0xffff_e000;
/// What the addresses of instructions are multiples of, in bytes.
pub const INSTRUCTION_ALIGNMENT: usize = 1;
/// AUDIT_ARCH_* (linux/audit.h).
pub const AUDIT: u32 = 0x4000_0003;
/// See [`crate::machine::Machine::space`].
pub const SPACE: &crate::machine::Space = &crate::machine::space::NARROW;
/// uname(2), as `setarch i386` and 32-bit kernels on all but the oldest CPUs have it.
pub const KERNEL_NAME: &str = "i686";
/// `int3`. It moves the instruction pointer behind itself.
pub const BREAKPOINT: &[u8] = &[0xcc];

/// See [`super::Machine::stack_restored`].
pub fn stack_restored(code: &[u8], pushed: u64) -> Option<u64> {
    let mut left = i64::try_from(pushed).ok()?;
    for instruction in Decoder::new(32, code, DecoderOptions::NONE) {
        let restores = matches!(instruction.mnemonic(), Mnemonic::Add | Mnemonic::Lea)
            && instruction.op0_register() == Register::ESP;
        let bytes = match instruction.mnemonic() {
            Mnemonic::Add if restores => i64::from(instruction.immediate32() as i32),
            Mnemonic::Lea if restores && instruction.memory_base() == Register::ESP => {
                instruction.memory_displacement64() as i32 as i64
            }
            _ => return None,
        };
        left -= bytes;
        if left <= 0 {
            return (left == 0).then_some(instruction.next_ip());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_taken_back() {
        // add $16,%esp; mov %eax,%edi
        assert_eq!(stack_restored(&[0x83, 0xc4, 0x10, 0x89, 0xc7], 16), Some(3));
        // lea 8(%esp),%esp
        assert_eq!(stack_restored(&[0x8d, 0x64, 0x24, 0x08], 8), Some(4));
        for code in [&[0x83, 0xc4, 0x20][..], &[0x89, 0xc7], &[0x58], &[]] {
            assert_eq!(stack_restored(code, 16), None, "{code:x?}");
        }
    }
}

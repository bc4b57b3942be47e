//! The heap's address. The kernel puts the break of a file without interpreter into one GiB (18
//! random bits), or, before Linux 6.10, below other mappings where addresses are not randomised.
//! PR_SET_MM_MAP moves it, without a privilege; a kernel without checkpoint/restore refuses, and it
//! stays.

use crate::Block;
use crate::arch::{self, Pages, nr};
use crate::elf::{WORD, Word};
use crate::params::Params;
use crate::random::{Purpose, Random};
use crate::stack::{AT_ENTRY, AT_EXECFN, AT_NULL, AT_PHDR, Stack};

const PR_SET_MM: u64 = 35;
const PR_SET_MM_MAP: u64 = 14;

/// `struct prctl_mm_map` (linux/prctl.h).
#[repr(C)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// Gives the heap an address of its own. If the program has moved, `moved` says by how much:
/// /proc/PID/auxv, from which debuggers tell where a program lies, then says so too.
///
/// # Safety
///
/// The break has not been used, and the stack is the kernel's.
pub unsafe fn place(
    p: &Params,
    pages: Pages,
    block: Block<'_>,
    stack: &Stack,
    random: Random,
    moved: u64,
) {
    // SAFETY: the caller's promise. What is changed in the vector is put back.
    unsafe {
        let heap = pages.down(Random::from(Some(random), Purpose::Heap));
        let Some(env_end) = stack.value(AT_EXECFN) else { return };
        if stack.argc == 0 {
            return;
        }
        // Arguments, environment and path lie one after the other, as their arrays have them.
        let env_start = if *stack.envp == 0 { env_end } else { *stack.envp as u64 };
        let mut size = 0;
        let mut entry = stack.auxv;
        let mut end = false;
        while !end {
            end = *entry as u64 == AT_NULL;
            size += 2 * WORD as u32;
            entry = entry.add(2);
        }
        let slide = |kind: u64, by: u64| {
            if let Some(value) = stack.word(kind) {
                *value = (*value).wrapping_add(by as Word);
            }
        };
        let [start_code, end_code, start_data, end_data] = p.extents;
        let map = MemoryMap {
            start_code: block.at(start_code),
            end_code: block.at(end_code),
            start_data: block.at(start_data),
            end_data: block.at(end_data),
            start_brk: heap,
            brk: heap,
            start_stack: stack.sp as u64,
            arg_start: *stack.sp.add(1) as u64,
            arg_end: env_start,
            env_start,
            env_end,
            auxv: if moved == 0 { 0 } else { stack.auxv as u64 },
            auxv_size: if moved == 0 { 0 } else { size },
            exe_fd: u32::MAX,
        };
        slide(AT_PHDR, moved);
        slide(AT_ENTRY, moved);
        let args =
            [PR_SET_MM, PR_SET_MM_MAP, (&raw const map) as u64, size_of::<MemoryMap>() as u64];
        arch::syscall(nr::PRCTL, [args[0], args[1], args[2], args[3], 0, 0]);
        slide(AT_PHDR, moved.wrapping_neg());
        slide(AT_ENTRY, moved.wrapping_neg());
    }
}

//! The block's base, where the kernel chose one that is not aligned enough.
//!
//! Kernels put a file without interpreter at any page until Linux 6.10, whatever its p_align says
//! (load_elf_binary in fs/binfmt_elf.c). Where a module needs more, everything behind the starter's
//! own pages moves to room that has it, before anything there is looked at.

use crate::arch::{self, nr};
use crate::maps::{MREMAP_FIXED, MREMAP_MAYMOVE};
use crate::params::Params;
use crate::{Block, message};

const MAP_PRIVATE_ANONYMOUS_NORESERVE: u64 = 0x02 | 0x20 | 0x4000;
const PROT_NONE: u64 = 0;
const PAGE: u64 = 4096;

const PT_LOAD: u32 = 1;
/// Offsets in the ELF header (gABI): e_phnum; the program headers follow the header itself.
const PHNUM: u64 = 56;
const PHDRS: u64 = 64;

/// A program header of the 64-bit class (gABI).
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

/// The block where its modules have their alignment: `block` itself if it is good.
///
/// # Safety
///
/// The kernel has mapped the output's program headers at `block`, and nothing else has been done to
/// those mappings. The starter and its tables stay where they are.
pub unsafe fn settle(p: &Params, block: Block) -> Block {
    if block.base & p.alignment.wrapping_sub(1) == 0 {
        return block;
    }
    // SAFETY: the caller's promise.
    unsafe { move_block(p, block) }
}

#[cold]
unsafe fn move_block(p: &Params, block: Block) -> Block {
    let mask = p.alignment.wrapping_sub(1);
    // SAFETY: the caller's promise; what is overwritten is this function's own reservation.
    unsafe {
        let count = *((block.base + PHNUM) as *const u16);
        let headers = (block.base + PHDRS) as *const ProgramHeader;
        // The front's two come first; the second is the code, right behind the parameters.
        let code = p.vaddr + size_of::<Params>() as u64;
        let headers = core::slice::from_raw_parts(headers, usize::from(count));
        let loads = || headers.iter().filter(|h| h.kind == PT_LOAD && h.vaddr > code);
        let mut end = 0;
        for load in loads() {
            end = load.vaddr + load.memsz;
        }
        let room = end + p.alignment;
        let flags = MAP_PRIVATE_ANONYMOUS_NORESERVE;
        let result = arch::syscall(nr::MMAP, [0, room, PROT_NONE, flags, u64::MAX, 0]);
        if result < 0 {
            message::fail(message::MAPPING);
        }
        let reserved = result as u64;
        let to = Block { base: (reserved + mask) & !mask };
        let mut free = reserved;
        for load in loads() {
            // Two mappings: pages of the file, then zero pages.
            let in_file = (load.filesz + PAGE - 1) & !(PAGE - 1);
            for (start, len) in
                [(load.vaddr, in_file), (load.vaddr + in_file, load.memsz - in_file)]
            {
                let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
                let args = [block.at(start), len, len, flags, to.at(start), 0];
                if len != 0 && arch::syscall(nr::MREMAP, args) as u64 != to.at(start) {
                    message::fail(message::MAPPING);
                }
            }
            give_back(free, to.at(load.vaddr));
            free = to.at(load.vaddr + load.memsz);
        }
        give_back(free, reserved + room);
        to
    }
}

/// Unmaps what is left of the reservation.
///
/// # Safety
///
/// Nothing else lies there.
unsafe fn give_back(start: u64, end: u64) {
    if start < end {
        // SAFETY: the caller's promise.
        unsafe { arch::syscall(nr::MUNMAP, [start, end - start, 0, 0, 0, 0]) };
    }
}

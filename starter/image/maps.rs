//! The address space: what is done to it once, permissions, seals.

use crate::arch::{self, nr};
use crate::params::{Params, Range, SEAL_ALWAYS, SEAL_UNFILTERED};
use crate::stack::Stack;
use crate::{Block, PAGE, message};

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const PROT_NONE: u64 = 0;
pub const MAP_PRIVATE_ANONYMOUS_NORESERVE: u64 = 0x02 | 0x20 | 0x4000;
pub const MAP_FIXED: u64 = 0x10;
/// Linux 4.17; older kernels do not see it.
pub const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;
const ENOSYS: i64 = 38;
const EPERM: i64 = 1;
/// Linux 5.14; older kernels refuse it and the pages come one by one.
const MADV_POPULATE_WRITE: u64 = 23;

/// `len` bytes of addresses from a multiple of `alignment` on: at `wanted` if they are free, else
/// wherever the kernel gives them.
///
/// # Safety
///
/// The parameters are those of an output.
pub unsafe fn reserve(wanted: u64, len: u64, alignment: u64) -> u64 {
    let mask = alignment - 1;
    let room = len + (mask & !(PAGE - 1));
    let flags = MAP_PRIVATE_ANONYMOUS_NORESERVE;
    // SAFETY: takes what nobody has.
    let result =
        unsafe { arch::syscall(nr::MMAP, [wanted & !mask, room, PROT_NONE, flags, u64::MAX, 0]) };
    if result < 0 {
        message::fail(message::MAPPING);
    }
    let start = (result as u64 + mask) & !mask;
    // SAFETY: what is left at both ends.
    unsafe {
        give_back(result as u64, start);
        give_back(start + len, result as u64 + room);
    }
    start
}

/// Unmaps.
///
/// # Safety
///
/// Nothing that lies there is used.
pub unsafe fn give_back(start: u64, end: u64) {
    if start < end {
        // SAFETY: the caller's promise: nothing else lies there.
        unsafe { arch::syscall(nr::MUNMAP, [start, end - start, 0, 0, 0, 0]) };
    }
}

/// Moves pages over whatever is at `to`.
///
/// # Safety
///
/// Nothing else uses those addresses.
pub unsafe fn remap(from: u64, len: u64, to: u64) -> bool {
    // SAFETY: the caller's promise.
    len == 0 || unsafe { resize(from, len, len, to) }
}

/// Moves pages over whatever is at `to`, and makes more of them.
///
/// # Safety
///
/// Nothing else uses those addresses.
pub unsafe fn resize(from: u64, len: u64, new_len: u64, to: u64) -> bool {
    let args = [from, len, new_len, MREMAP_MAYMOVE | MREMAP_FIXED, to, 0];
    // SAFETY: the caller's promise.
    unsafe { arch::syscall(nr::MREMAP, args) as u64 == to }
}

/// Maps zero pages over whatever is there.
///
/// # Safety
///
/// Nothing else uses those addresses.
pub unsafe fn zeros(start: u64, len: u64, prot: u64) -> bool {
    let flags = MAP_PRIVATE_ANONYMOUS_NORESERVE | MAP_FIXED;
    // SAFETY: the caller's promise.
    len == 0
        || unsafe {
            arch::syscall(nr::MMAP, [start, len, prot, flags, u64::MAX, 0]) as u64 == start
        }
}

/// Makes the pages that will be written present, many in a call: less than a fault for each.
///
/// # Safety
///
/// The tables describe this process's address space.
pub unsafe fn populate(p: &Params, block: Block<'_>) {
    // SAFETY: the caller's promise; a refusal changes nothing.
    unsafe {
        for range in p.populates.records::<Range>(p) {
            let args = [block.at(range.start), range.len, MADV_POPULATE_WRITE, 0, 0, 0];
            if arch::syscall(nr::MADVISE, args) < 0 {
                break;
            }
        }
    }
}

/// Gives every page its final permissions, and seals what stays as it is (Linux 6.10): also what is
/// left of the front, from `front` to `front_end`.
///
/// # Safety
///
/// The tables describe this process's address space, and nothing is left to be written there.
pub unsafe fn protect(p: &Params, block: Block<'_>, stack: &Stack, front: u64, front_end: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        for range in p.protects.records::<Range>(p) {
            let prot = arch::protection(range.prot, stack);
            let args = [block.at(range.start), range.len, prot, 0, 0, 0];
            if arch::syscall(nr::MPROTECT, args) < 0 {
                message::fail(message::MAPPING);
            }
        }
        // An older kernel, or a sandbox: all the others would be refused as well.
        if !seals(p) || !seal(front, front_end - front) {
            return;
        }
        for range in p.seals.records::<Range>(p) {
            seal(block.at(range.start), range.len);
        }
    }
}

/// Seals; whether the kernel knows the call.
unsafe fn seal(start: u64, len: u64) -> bool {
    // SAFETY: changes nothing of what is there.
    let result = unsafe { arch::syscall(nr::MSEAL, [start, len, 0, 0, 0, 0]) };
    !matches!(-result, ENOSYS | EPERM)
}

/// Whether to seal. A seccomp filter may end the process for a system call that its author has not
/// heard of.
unsafe fn seals(p: &Params) -> bool {
    const PR_GET_SECCOMP: u64 = 21;
    // SAFETY: it asks only.
    p.choices & SEAL_ALWAYS != 0
        || p.choices & SEAL_UNFILTERED != 0
            && unsafe { arch::syscall(nr::PRCTL, [PR_GET_SECCOMP, 0, 0, 0, 0, 0]) == 0 }
}

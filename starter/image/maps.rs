//! The address space: what is done to it once, permissions, seals.

use crate::arch::{self, Pages, nr};
use crate::params::{Params, Range, SEAL_ALWAYS, SEAL_UNFILTERED};
use crate::stack::Stack;
use crate::{Block, message};

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const PROT_NONE: u64 = 0;
const PROT_WRITE: u64 = 2;
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
pub unsafe fn reserve(pages: Pages, wanted: u64, len: u64, alignment: u64) -> u64 {
    let mask = alignment - 1;
    let len = pages.up(len);
    let room = len + (mask & !(pages.size() - 1));
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
        give_back(pages, result as u64, start);
        give_back(pages, start + len, result as u64 + room);
    }
    start
}

/// Unmaps.
///
/// # Safety
///
/// Nothing that lies there is used.
pub unsafe fn give_back(pages: Pages, start: u64, end: u64) {
    let start = pages.down(start);
    if start < end {
        // SAFETY: the caller's promise: nothing else lies there.
        unsafe { arch::syscall(nr::MUNMAP, [start, end - start, 0, 0, 0, 0]) };
    }
}

/// Moves pages over whatever is at `to`, which lies as far within a page as `from`.
///
/// # Safety
///
/// Nothing else uses those addresses.
pub unsafe fn remap(pages: Pages, from: u64, len: u64, to: u64) -> bool {
    let before = from - pages.down(from);
    // SAFETY: the caller's promise.
    len == 0 || unsafe { resize(from - before, len + before, len + before, to - before) }
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

/// Clears what of zero pages lies in the page with which a file's end, and says which pages of their own they take.
///
/// # Safety
///
/// The file's pages in front of them are mapped.
pub unsafe fn cleared(pages: Pages, range: &Range, start: u64) -> Range {
    let whole = pages.whole(range, start);
    if start < whole.start && range.prot & PROT_WRITE != 0 {
        // SAFETY: this page of the file's is mapped, and as writable.
        unsafe { core::ptr::write_bytes(start as *mut u8, 0, (whole.start - start) as usize) };
    }
    whole
}

/// Maps zero pages over whatever is there.
///
/// # Safety
///
/// Nothing else uses those addresses, but for the file's pages in front of them, which are mapped.
pub unsafe fn zeros(pages: Pages, range: &Range, start: u64) -> bool {
    let flags = MAP_PRIVATE_ANONYMOUS_NORESERVE | MAP_FIXED;
    // SAFETY: the caller's promise.
    unsafe {
        let Range { start, len, prot } = cleared(pages, range, start);
        len == 0 || arch::syscall(nr::MMAP, [start, len, prot, flags, u64::MAX, 0]) as u64 == start
    }
}

/// Makes the pages that will be written present, many in a call: less than a fault for each.
///
/// # Safety
///
/// The tables describe this process's address space.
pub unsafe fn populate(p: &Params, pages: Pages, block: Block<'_>) {
    // SAFETY: the caller's promise; a refusal changes nothing.
    unsafe {
        for range in p.populates.records::<Range>(p) {
            let start = block.at(range.start);
            let first = pages.down(start);
            let args = [first, range.len + (start - first), MADV_POPULATE_WRITE, 0, 0, 0];
            if arch::syscall(nr::MADVISE, args) < 0 {
                break;
            }
        }
    }
}

/// Gives every page its final permissions, and seals what stays as it is (Linux 6.10): also what is
/// left of the front.
///
/// # Safety
///
/// The tables describe this process's address space, and nothing is left to be written there.
pub unsafe fn protect<const N: usize>(
    p: &Params,
    block: Block<'_>,
    stack: &Stack,
    front: [(u64, u64); N],
) {
    let pages = Pages::of(stack);
    // SAFETY: the caller's promise.
    unsafe {
        for range in p.protects.records::<Range>(p) {
            let Range { start, len, prot } = pages.whole(range, block.at(range.start));
            let prot = arch::protection(prot, stack);
            if arch::syscall(nr::MPROTECT, [start, len, prot, 0, 0, 0]) < 0 {
                message::fail(message::MAPPING);
            }
        }
        if !seals(p) {
            return;
        }
        for (start, end) in front {
            // An older kernel, or a sandbox: all the others would be refused as well.
            let start = pages.down(start);
            if start < end && !seal(start, end - start) {
                return;
            }
        }
        for range in p.seals.records::<Range>(p) {
            let whole = pages.whole(range, block.at(range.start));
            seal(whole.start, whole.len);
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

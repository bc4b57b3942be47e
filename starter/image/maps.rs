//! The address space: pieces put where they belong, permissions, seals.

use crate::arch::{self, nr};
use crate::params::{Move, Params, Range};
use crate::{Block, message};

pub const MREMAP_MAYMOVE: u64 = 1;
pub const MREMAP_FIXED: u64 = 2;
const MAP_PRIVATE_FIXED_ANONYMOUS_NORESERVE: u64 = 0x02 | 0x10 | 0x20 | 0x4000;
const ENOSYS: i64 = 38;
const EPERM: i64 = 1;
/// Linux 5.14; older kernels refuse it and the pages come one by one.
const MADV_POPULATE_WRITE: u64 = 23;

/// Puts what the program headers could not express where it belongs.
///
/// # Safety
///
/// The tables describe this process's address space.
pub unsafe fn assemble(p: &Params, block: Block) {
    // SAFETY: the caller's promise.
    unsafe {
        for piece in p.moves.records::<Move>(p) {
            let to = block.at(piece.to);
            let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
            let args = [block.at(piece.from), piece.len, piece.len, flags, to, 0];
            if arch::syscall(nr::MREMAP, args) as u64 != to {
                message::fail(message::MAPPING);
            }
        }
        for range in p.zeros.records::<Range>(p) {
            let start = block.at(range.start);
            let flags = MAP_PRIVATE_FIXED_ANONYMOUS_NORESERVE;
            let args = [start, range.len, range.prot, flags, u64::MAX, 0];
            if arch::syscall(nr::MMAP, args) as u64 != start {
                message::fail(message::MAPPING);
            }
        }
        for range in p.unmaps.records::<Range>(p) {
            arch::syscall(nr::MUNMAP, [block.at(range.start), range.len, 0, 0, 0, 0]);
        }
        change_permissions(p.unlocks.records::<Range>(p), block);
    }
}

unsafe fn change_permissions(ranges: &[Range], block: Block) {
    for range in ranges {
        let args = [block.at(range.start), range.len, range.prot, 0, 0, 0];
        // SAFETY: the caller's promise.
        if unsafe { arch::syscall(nr::MPROTECT, args) } < 0 {
            message::fail(message::MAPPING);
        }
    }
}

/// Makes the pages that will be written present, many in a call: less than a fault for each.
///
/// # Safety
///
/// As [`assemble`].
pub unsafe fn populate(p: &Params, block: Block) {
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

/// Gives every page its final permissions, and seals what stays as it is (Linux 6.10).
///
/// # Safety
///
/// As [`assemble`], and nothing is left to be written there.
pub unsafe fn protect(p: &Params, block: Block) {
    // SAFETY: the caller's promise.
    unsafe {
        change_permissions(p.protects.records::<Range>(p), block);
        for range in p.seals.records::<Range>(p) {
            let args = [block.at(range.start), range.len, 0, 0, 0, 0];
            // An older kernel, or a sandbox: all the others would be refused as well.
            if matches!(-arch::syscall(nr::MSEAL, args), ENOSYS | EPERM) {
                break;
            }
        }
    }
}

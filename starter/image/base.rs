//! Where the program goes, if not where the kernel has put it.
//!
//! Kernels before Linux 6.10 put a file without interpreter at any page, whatever its p_align says
//! (load_elf_binary in fs/binfmt_elf.c). And where a file takes 4 MiB of addresses, file systems
//! with huge pages align it to 2 MiB (thp_get_unmapped_area), which takes away nine random bits. Or it
//! must lie below the libraries, and the kernel has put it near the end of the address space. The
//! front stays where it is in all cases: no code counts distances to it.

use crate::arch::{self, Pages};
use crate::elf::{HEADER, PHNUM, ProgramHeader};
use crate::maps;
use crate::own_file::OwnFile;
use crate::params::{PROGRAM_FIRST, Params, RANDOM_FULL, Range, WHOLE_FIRST, WHOLE_LAST};
use crate::random::{Purpose, Random};
use crate::{Block, PAGE, message};

const HUGE_PAGE: u64 = 2 << 20;

const PT_LOAD: u32 = 1;

/// Puts the program elsewhere if it must be. Returns by how much.
///
/// # Safety
///
/// The kernel has mapped the output's program headers at `block`, and nothing else has been done to
/// those mappings.
pub unsafe fn settle(
    p: &Params,
    pages: Pages,
    block: Block<'_>,
    random: Option<Random>,
    file: Option<&OwnFile>,
) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let front = block.at(p.front);
        let count = *((front + PHNUM) as *const u16);
        // The program headers follow the header itself.
        let headers = (front + HEADER) as *const ProgramHeader;
        let headers = core::slice::from_raw_parts(headers, usize::from(count));
        let loads = || headers.iter().filter(|h| h.kind == PT_LOAD && u64::from(h.vaddr) < p.front);
        let Some(first) = loads().next() else { return 0 };
        let len = p.front - u64::from(first.vaddr);
        let mapped = block.at(first.vaddr.into());
        let misplaced = block.program & (p.alignment - 1) != 0;
        let above = p.choices & PROGRAM_FIRST != 0 && mapped > arch::LIBRARIES;
        let coarse = p.choices & RANDOM_FULL != 0
            && random.is_some()
            && len >= HUGE_PAGE
            && mapped.wrapping_sub(u64::from(first.offset)) & (HUGE_PAGE - 1) == 0;
        if !misplaced && !coarse && !above {
            return 0;
        }
        let wanted = Random::from(random, Purpose::Program);
        let rest = u64::from(first.vaddr) & (p.alignment - 1);
        let to = maps::reserve(pages, wanted, len + rest, p.alignment) + rest;
        let by = to.wrapping_sub(mapped);
        for load in loads() {
            move_segment(load, pages, block, by, file);
        }
        by
    }
}

/// Maps a segment once more, `by` bytes higher; or else moves it.
unsafe fn move_segment(
    load: &ProgramHeader,
    pages: Pages,
    block: Block<'_>,
    by: u64,
    file: Option<&OwnFile>,
) {
    let prot = (load.flags & 4) >> 2 | load.flags & 2 | (load.flags & 1) << 2;
    // Two mappings: pages of the file, then zero pages.
    let in_file = (u64::from(load.filesz) + PAGE - 1) & !(PAGE - 1);
    let from = block.at(load.vaddr.into());
    let to = from.wrapping_add(by);
    let ends = match (arch::FRONT_GAP, in_file) {
        // Pages are of one size.
        (0, _) => 0,
        (_, 0) => WHOLE_FIRST | WHOLE_LAST,
        _ => WHOLE_LAST,
    };
    let zeros = Range {
        start: to + in_file,
        len: u64::from(load.memsz) - in_file,
        prot: u64::from(prot) | ends,
    };
    // SAFETY: where it goes is this module's own reservation.
    let moved = unsafe {
        match file {
            Some(file) => {
                // Not what lies between segments: the kernel may have put the vDSO there.
                maps::give_back(pages, from, from + u64::from(load.memsz));
                let source = file.from(load.offset.into());
                (in_file == 0
                    || source.map(pages, to, in_file, prot.into(), maps::MAP_FIXED) as u64 == to)
                    && maps::zeros(pages, &zeros, zeros.start)
            }
            None => {
                let behind = pages.whole(&zeros, zeros.start);
                maps::remap(pages, from, in_file, to)
                    && maps::remap(pages, behind.start.wrapping_sub(by), behind.len, behind.start)
            }
        }
    };
    if !moved {
        message::fail(message::MAPPING);
    }
}

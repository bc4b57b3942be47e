//! Who maps what. Most segments are program headers. But many kernels take no more than 4 KiB of
//! them (load_elf_phdrs in fs/binfmt_elf.c, up to Linux 5.17), and an absolute address has no
//! program header in a position-independent file: such segments lie in *pools*, mappings of their
//! part of the file with one permission each, out of which the starter moves them with mremap(2).
//! [`super::coalesce`] has seen to it that there are few.

use std::ops::Range;

use super::HEADERS;
use super::pieces::{EXECUTE, READ, WRITE};
use super::segments::{Segment, must_move};
use crate::classify::{Image, Place};
use crate::elf::PAGE;
use starter::params::ABSOLUTE;

/// PT_LOADs that fit: the headers may take 4 KiB, the ELF header among them, and two PT_NOTEs,
/// PT_GNU_STACK and the build-id are wanted too.
const MOST_LOADS: usize = (HEADERS as usize - 64 - crate::seal::NOTE) / 56 - 3;
/// The front's two.
const FRONT_LOADS: usize = 2;
/// The pools and the reservation.
const POOL_LOADS: usize = 4;

/// A PT_LOAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// p_vaddr.
    pub address: u64,
    /// p_memsz.
    pub len: u64,
    /// p_offset; of no meaning where `file_len` is 0.
    pub offset: u64,
    /// p_filesz.
    pub file_len: u64,
    /// PROT_*.
    pub prot: u32,
    /// p_align.
    pub align: u64,
}

impl Load {
    /// The first two: headers, tables and parameters; the starter's code, `code_len` bytes.
    pub fn front(base: u64, len: u64, code_len: u64, align: u64) -> [Self; 2] {
        let tables = len - code_len;
        let (read, execute) = (READ, READ | EXECUTE);
        [
            Self { address: base, len: tables, offset: 0, file_len: tables, prot: read, align },
            Self {
                address: base + tables,
                len: code_len,
                offset: tables,
                file_len: code_len,
                prot: execute,
                align: PAGE,
            },
        ]
    }
}

/// A piece of a pool, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolMove {
    /// In the pool (a place of the output).
    pub from: Place,
    /// Where it belongs (a place of the output).
    pub to: Place,
    /// In bytes.
    pub len: u64,
}

/// Program headers and what the starter does.
#[derive(Debug, Default)]
pub struct Placement {
    /// Ascending by address.
    pub loads: Vec<Load>,
    /// Out of the pools.
    pub moves: Vec<PoolMove>,
    /// Zero pages for the starter to map, with their PROT_*.
    pub zeros: Vec<(Range<Place>, u32)>,
    /// To be given back afterwards: the pools, and what is left of the reservation.
    pub unmaps: Vec<Range<Place>>,
}

/// A place of the image in the output.
pub fn shifted(place: Place, shift: u64) -> Place {
    if place & ABSOLUTE != 0 { place } else { place + shift }
}

/// How many segments the kernel can map from program headers.
pub fn room(image: &Image, segments: &[Segment]) -> usize {
    let any_absolute = segments.iter().any(|segment| must_move(image, segment));
    MOST_LOADS - FRONT_LOADS - if any_absolute { POOL_LOADS } else { 0 }
}

/// Decides. `shift` is where the block's first byte lies in the output.
pub fn place(image: &Image, segments: &[Segment], shift: u64) -> Placement {
    let at = |range: &Range<Place>| {
        let start = shifted(range.start, shift);
        start..start + (range.end - range.start)
    };
    let mut placement = Placement::default();
    let room = room(image, segments);
    let room = if segments.len() > room { room - POOL_LOADS } else { room };
    let mut moved = Vec::new();
    for segment in segments {
        if must_move(image, segment) || placement.loads.len() >= room {
            moved.push(segment);
        } else {
            let range = at(&segment.range);
            placement.loads.push(load(range.start, range.end - range.start, segment));
        }
    }
    if !moved.is_empty() {
        pool(image, &moved, shift, &mut placement);
    }
    placement.loads.sort_by_key(|load| load.address);
    placement
}

fn load(address: u64, len: u64, segment: &Segment) -> Load {
    let file_len = segment.file_len.min(len);
    Load { address, len, offset: segment.offset, file_len, prot: segment.prot, align: PAGE }
}

/// Makes pools for the segments that are not program headers.
fn pool(image: &Image, moved: &[&Segment], shift: u64, placement: &mut Placement) {
    let in_file = || moved.iter().filter(|segment| segment.file_len > 0);
    let block_end = image.modules.iter().map(|module| shifted(module.range.end, shift));
    let mut next = block_end.filter(|end| end & ABSOLUTE == 0).max().unwrap_or(0);
    // Where the segments of the block belong must stay free until they are there.
    let in_block = moved.iter().filter(|segment| segment.range.start & ABSOLUTE == 0);
    let first = in_block.map(|segment| shifted(segment.range.start, shift)).min();
    let reserved = match first {
        Some(first) if !image.fixed => first..next,
        _ => 0..0,
    };
    if !reserved.is_empty() {
        let len = reserved.end - reserved.start;
        let prot = READ | WRITE;
        placement.loads.push(Load {
            address: reserved.start,
            len,
            offset: 0,
            file_len: 0,
            prot,
            align: PAGE,
        });
        let mut free = reserved.start;
        for segment in moved.iter().filter(|segment| segment.range.start & ABSOLUTE == 0) {
            let start = shifted(segment.range.start, shift);
            if free < start {
                placement.unmaps.push(free..start);
            }
            free = start + (segment.range.end - segment.range.start);
        }
        if free < reserved.end {
            placement.unmaps.push(free..reserved.end);
        }
    }
    let start = in_file().map(|segment| segment.offset).min().unwrap_or(0);
    let end = in_file().map(|segment| segment.offset + segment.file_len).max().unwrap_or(0);
    let mut prots: Vec<u32> = in_file().map(|segment| segment.prot).collect();
    prots.sort_unstable();
    prots.dedup();
    for prot in prots {
        let len = end - start;
        placement.loads.push(Load {
            address: next,
            len,
            offset: start,
            file_len: len,
            prot,
            align: PAGE,
        });
        placement.unmaps.push(next..next + len);
        for segment in in_file().filter(|segment| segment.prot == prot) {
            let from = next + (segment.offset - start);
            let to = shifted(segment.range.start, shift);
            placement.moves.push(PoolMove { from, to, len: segment.file_len });
        }
        next += len;
    }
    for segment in moved {
        let zeros = segment.file_range().end..segment.range.end;
        let start = shifted(zeros.start, shift);
        // The reservation is made of such pages.
        let there = segment.prot == READ | WRITE && reserved.contains(&start);
        if !zeros.is_empty() && !there {
            placement.zeros.push((start..start + (zeros.end - zeros.start), segment.prot));
        }
    }
}

/// Where the front of an output at fixed addresses lies: below its lowest module if it can.
pub fn fixed_base(image: &Image, front_len: u64) -> u64 {
    /// Lower addresses are refused (vm.mmap_min_addr).
    const LEAST: u64 = 64 << 10;
    let lowest = image.modules.iter().map(|module| module.range.start).min().unwrap_or(0);
    let highest = image.modules.iter().map(|module| module.range.end).max().unwrap_or(0);
    match lowest.checked_sub(front_len) {
        Some(base) if base >= LEAST => base & !(PAGE - 1),
        _ => highest.next_multiple_of(PAGE),
    }
}

//! The address space: pieces put where they belong, permissions, seals.

use core::mem::MaybeUninit;

use crate::arch::{self, nr};
use crate::own_file::{OwnFile, Pool};
use crate::params::{Group, MOST_GROUPS, Map, Params, Range, SEAL_ALWAYS, SEAL_UNFILTERED};
use crate::random::{Purpose, Random};
use crate::{Block, PAGE, message};

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const PROT_NONE: u64 = 0;
const MAP_PRIVATE_ANONYMOUS_NORESERVE: u64 = 0x02 | 0x20 | 0x4000;
const MAP_FIXED: u64 = 0x10;
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

unsafe fn give_back(start: u64, end: u64) {
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

/// Maps what no program header does, each group of libraries at a distance of its own. Returns the
/// distances, for which there is `room`.
///
/// # Safety
///
/// The tables describe this process's address space; `pool` is the pool's page.
pub unsafe fn assemble<'a>(
    p: &Params,
    block: Block<'_>,
    pool: u64,
    random: Option<Random>,
    file: Option<&OwnFile>,
    room: &'a mut [MaybeUninit<u64>; MOST_GROUPS],
) -> &'a [u64] {
    // SAFETY: the caller's promise.
    unsafe {
        let (maps, zeros) = (p.maps.records::<Map>(p), p.zeros.records::<Range>(p));
        let groups = p.groups.records::<Group>(p);
        let source = match file {
            Some(file) => Source::File(file),
            None if maps.is_empty() => Source::Nothing,
            None => Pool::grow(p, pool).map_or(Source::Nothing, Source::Pool),
        };
        // The program's, and what belongs to absolute addresses.
        let end = groups.last().map_or(0, |last| last.start + last.len);
        let first = groups.first().map_or(0, |first| first.start);
        let others = |place: u64| place < first || place >= end;
        for map in maps.iter().filter(|map| others(map.to)) {
            if !source.map(block.at(map.to), map) {
                message::fail(message::MAPPING);
            }
        }
        for range in zeros.iter().filter(|range| others(range.start)) {
            if !self::zeros(block.at(range.start), range.len, range.prot) {
                message::fail(message::MAPPING);
            }
        }
        let mut wanted = random.map(|random| random.address(Purpose::Libraries));
        for (index, (group, slide)) in groups.iter().zip(room.iter_mut()).enumerate() {
            let group = Contents {
                group,
                maps: within(maps, group, |map| map.to),
                zeros: within(zeros, group, |range| range.start),
            };
            let to = group.place(&source, wanted);
            wanted = random.map(|random| to.wrapping_add(group.end()) + random.gap(index));
            slide.write(to);
        }
        if let Source::Pool(pool) = source {
            pool.release();
        }
        core::slice::from_raw_parts(room.as_ptr().cast(), groups.len().min(MOST_GROUPS))
    }
}

/// Where pages of the output come from.
enum Source<'a> {
    File(&'a OwnFile),
    Pool(Pool),
    Nothing,
}

impl Source<'_> {
    /// Maps pages over whatever is there.
    unsafe fn map(&self, to: u64, map: &Map) -> bool {
        // SAFETY: the caller's promise: nothing else uses those addresses.
        unsafe {
            match self {
                Source::File(file) => file.map(to, map.len, map.prot, map.offset),
                Source::Pool(pool) => pool.map(to, map.len, map.prot, map.offset),
                Source::Nothing => false,
            }
        }
    }
}

/// The records, in ascending order of their places, that belong to a group.
fn within<'a, T>(records: &'a [T], group: &Group, place: impl Fn(&T) -> u64) -> &'a [T] {
    let start = records.partition_point(|record| place(record) < group.start);
    let end = records.partition_point(|record| place(record) < group.start + group.len);
    records.get(start..end).unwrap_or_default()
}

/// What is to be mapped of a group.
struct Contents<'a> {
    group: &'a Group,
    maps: &'a [Map],
    zeros: &'a [Range],
}

impl Contents<'_> {
    fn end(&self) -> u64 {
        self.group.start + self.group.len
    }

    /// Maps all of it, at `wanted` or behind that if the addresses are free. Returns the distance.
    unsafe fn place(&self, source: &Source<'_>, wanted: Option<u64>) -> u64 {
        let alignment = self.group.alignment;
        let mask = alignment - 1;
        // SAFETY: nothing is mapped but where nothing was.
        unsafe {
            if let (Source::File(file), Some(wanted)) = (source, wanted) {
                let slide = wanted.wrapping_sub(self.group.start).wrapping_add(mask) & !mask;
                // No reservation: to map over one takes longer than to map where nothing is.
                if self.map_new(file, slide) {
                    return slide;
                }
            }
            let rest = self.group.start & mask;
            let to = reserve(wanted.unwrap_or(0), self.group.len + rest, alignment) + rest;
            let slide = to.wrapping_sub(self.group.start);
            let maps = self.maps.iter().all(|map| source.map(slide.wrapping_add(map.to), map));
            let zero =
                |range: &Range| zeros(slide.wrapping_add(range.start), range.len, range.prot);
            if !maps || !self.zeros.iter().all(zero) {
                message::fail(message::MAPPING);
            }
            slide
        }
    }

    /// Maps all of it where nothing is yet, or nothing.
    unsafe fn map_new(&self, file: &OwnFile, slide: u64) -> bool {
        const ANONYMOUS: u64 = MAP_PRIVATE_ANONYMOUS_NORESERVE | MAP_FIXED_NOREPLACE;
        // SAFETY: the kernel gives what nobody has; where it gives something else, that goes back.
        unsafe {
            let mut maps = self.maps.iter();
            let mut zeros = self.zeros.iter();
            let new = |to: u64, len: u64, result: i64| {
                let is_there = result as u64 == to;
                if !is_there && result > 0 {
                    // Before Linux 4.17 an address is a wish.
                    give_back(result as u64, result as u64 + len);
                }
                is_there
            };
            let all = maps.all(|map| {
                let to = slide.wrapping_add(map.to);
                new(to, map.len, file.map_new(to, map.len, map.prot, map.offset))
            }) && zeros.all(|range| {
                let to = slide.wrapping_add(range.start);
                let args = [to, range.len, range.prot, ANONYMOUS, u64::MAX, 0];
                new(to, range.len, arch::syscall(nr::MMAP, args))
            });
            if all {
                return true;
            }
            // The last one of each list that was begun is not there, or was not reached.
            let done = self.maps.len() - maps.len();
            let of_maps = self.maps.iter().take(done).map(|map| (map.to, map.len));
            let done = self.zeros.len() - zeros.len();
            let of_zeros = self.zeros.iter().take(done).map(|range| (range.start, range.len));
            let failed = if done > 0 { of_zeros.clone().last() } else { of_maps.clone().last() };
            for (place, len) in of_maps.chain(of_zeros).filter(|one| Some(*one) != failed) {
                let to = slide.wrapping_add(place);
                give_back(to, to + len);
            }
            false
        }
    }
}

/// Makes the pages that will be written present, many in a call: less than a fault for each.
///
/// # Safety
///
/// As [`assemble`].
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
/// As [`assemble`], and nothing is left to be written there.
pub unsafe fn protect(p: &Params, block: Block<'_>, front: u64, front_end: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        for range in p.protects.records::<Range>(p) {
            let args = [block.at(range.start), range.len, range.prot, 0, 0, 0];
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

//! What no program header maps: groups of libraries, each at an address of its own; and what belongs to
//! absolute addresses.

use core::mem::MaybeUninit;

use crate::arch::{self, Pages, nr};
use crate::own_file::{OwnFile, Source, Spare};
use crate::params::{Group, MOST_GROUPS, Map, Params, Range};
use crate::pool::Pool;
use crate::random::{Purpose, Random};
use crate::{Block, maps, message};

/// Something is mapped there.
const EEXIST: i64 = 17;

/// Maps what no program header does, each group of libraries at a distance of its own. Returns the
/// distances, for which there is `room`.
///
/// # Safety
///
/// The tables describe this process's address space; `spare` is the page that grows where there is no file.
pub unsafe fn assemble<'a>(
    p: &Params,
    pages: Pages,
    block: Block<'_>,
    spare: u64,
    random: Option<Random>,
    file: Option<&OwnFile>,
    room: &'a mut [MaybeUninit<u64>; MOST_GROUPS],
) -> &'a [u64] {
    // SAFETY: the caller's promise.
    unsafe {
        let (mapped, zeros) = (p.maps.records::<Map>(p), p.zeros.records::<Range>(p));
        let groups = p.groups.records::<Group>(p);
        let sources = match file {
            Some(file) => Sources::Files(Files { pages, own: file, pool: Pool::open(p) }),
            None if mapped.is_empty() => Sources::Nowhere,
            None => Spare::grow(p, pages, spare).map_or(Sources::Nowhere, Sources::Spare),
        };
        // The program's, and what belongs to absolute addresses.
        let end = groups.last().map_or(0, |last| last.start + last.len);
        let first = groups.first().map_or(0, |first| first.start);
        let others = |place: u64| place < first || place >= end;
        for map in mapped.iter().filter(|map| others(map.to)) {
            if !sources.map(block.at(map.to), map) {
                message::fail(message::MAPPING);
            }
        }
        for range in zeros.iter().filter(|range| others(range.start)) {
            if !maps::zeros(pages, range, block.at(range.start)) {
                message::fail(message::MAPPING);
            }
        }
        // Ascending, as they were captured: loaders have tables in the order of addresses.
        let mut wanted = Random::from(random, Purpose::Libraries);
        for (index, (group, slide)) in groups.iter().zip(room.iter_mut()).enumerate() {
            let group = Contents {
                group,
                maps: within(mapped, group, |map| map.to),
                zeros: within(zeros, group, |range| range.start),
            };
            let to = group.place(pages, &sources, wanted);
            wanted = to.wrapping_add(group.end()) + random.map_or(0, |random| random.gap(index));
            slide.write(to);
        }
        match sources {
            Sources::Files(files) => files.pool.close(),
            Sources::Spare(spare) => spare.release(),
            Sources::Nowhere => {}
        }
        core::slice::from_raw_parts(room.as_ptr().cast(), groups.len().min(MOST_GROUPS))
    }
}

/// Where pages of the output come from.
enum Sources<'a> {
    Files(Files<'a>),
    Spare(Spare),
    Nowhere,
}

impl Sources<'_> {
    /// Maps pages over whatever is there.
    unsafe fn map(&self, to: u64, map: &Map) -> bool {
        // SAFETY: the caller's promise: nothing else uses those addresses.
        unsafe {
            match self {
                Self::Files(files) => files.map(to, map, maps::MAP_FIXED) as u64 == to,
                Self::Spare(spare) => spare.map(to, map.len, map.prot.into(), map.offset),
                Self::Nowhere => false,
            }
        }
    }
}

/// The output, and the pool.
struct Files<'a> {
    pages: Pages,
    own: &'a OwnFile,
    pool: Pool<'a>,
}

impl Files<'_> {
    /// Maps pages: the result of mmap(2).
    ///
    /// # Safety
    ///
    /// As for [`Source::map`].
    unsafe fn map(&self, to: u64, map: &Map, flags: u64) -> i64 {
        // SAFETY: the caller's promise.
        let mapped =
            |source: Source| unsafe { source.map(self.pages, to, map.len, map.prot.into(), flags) };
        match self.pool.source(map).map(mapped) {
            // Where something is, another address is to be tried, not another file.
            Some(result) if result >= 0 || result == -EEXIST => result,
            // A pool that is mounted noexec has no code.
            _ => mapped(self.own.from(map.offset)),
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
    unsafe fn place(&self, pages: Pages, sources: &Sources<'_>, wanted: u64) -> u64 {
        let alignment = self.group.alignment;
        let mask = alignment - 1;
        // SAFETY: nothing is mapped but where nothing was.
        unsafe {
            if let Sources::Files(files) = sources {
                let slide = wanted.wrapping_sub(self.group.start).wrapping_add(mask) & !mask;
                // No reservation: to map over one takes longer than to map where nothing is.
                if self.map_new(files, slide) {
                    return slide;
                }
            }
            let rest = self.group.start & mask;
            let to = maps::reserve(pages, wanted, self.group.len + rest, alignment) + rest;
            let slide = to.wrapping_sub(self.group.start);
            let mapped = self.maps.iter().all(|map| sources.map(slide.wrapping_add(map.to), map));
            let zero = |range: &Range| maps::zeros(pages, range, slide.wrapping_add(range.start));
            if !mapped || !self.zeros.iter().all(zero) {
                message::fail(message::MAPPING);
            }
            slide
        }
    }

    /// Maps all of it where nothing is yet, or nothing.
    unsafe fn map_new(&self, files: &Files<'_>, slide: u64) -> bool {
        // SAFETY: what goes back was mapped here.
        unsafe {
            let done = self.map_while_free(files, slide);
            if done == self.maps.len() + self.zeros.len() {
                return true;
            }
            let maps = self.maps.iter().map(|map| (map.to, map.len));
            let zeros = self.zeros.iter().map(|range| (range.start, range.len));
            for (place, len) in maps.chain(zeros).take(done) {
                let to = slide.wrapping_add(place);
                maps::give_back(files.pages, to, to + len);
            }
            false
        }
    }

    /// Maps, up to the first address that is taken: so many pieces.
    unsafe fn map_while_free(&self, files: &Files<'_>, slide: u64) -> usize {
        const ANONYMOUS: u64 = maps::MAP_PRIVATE_ANONYMOUS_NORESERVE | maps::MAP_FIXED_NOREPLACE;
        let mut done = 0;
        for map in self.maps {
            let to = slide.wrapping_add(map.to);
            // SAFETY: the kernel gives what nobody has.
            unsafe {
                let result = files.map(to, map, maps::MAP_FIXED_NOREPLACE);
                if !is_there(files.pages, to, map.len, result) {
                    return done;
                }
            }
            done += 1;
        }
        for range in self.zeros {
            // SAFETY: the kernel gives what nobody has; what is in front of it has been mapped here.
            unsafe {
                let Range { start, len, prot } =
                    maps::cleared(files.pages, range, slide.wrapping_add(range.start));
                let args = [start, len, prot, ANONYMOUS, u64::MAX, 0];
                if len != 0 && !is_there(files.pages, start, len, arch::syscall(nr::MMAP, args)) {
                    return done;
                }
            }
            done += 1;
        }
        done
    }
}

/// Whether mmap(2) has given what was wanted. Before Linux 4.17 an address is a wish: what is elsewhere
/// goes back.
unsafe fn is_there(pages: Pages, to: u64, len: u64, result: i64) -> bool {
    let is_there = result as u64 == to;
    if !is_there && result > 0 {
        // SAFETY: it is new, and of no use.
        unsafe { maps::give_back(pages, result as u64, result as u64 + len) };
    }
    is_there
}

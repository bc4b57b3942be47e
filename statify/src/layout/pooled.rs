//! What an output may map from the pool: pages of libraries that are as their files have them, and that nobody writes to.
//!
//! A file of the pool is a whole library, so that tools that look at a process (perf, gdb) find it there as they find any
//! library: the offsets of its mappings are those of the library.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use statify_elf::{PAGE, PROT_WRITE, page_up};
use statify_params::PoolFile;

use super::segments::Segment;
use crate::capture::{Object, PROGRAM};
use crate::classify::Image;
use crate::hashes::Hashes;

/// The fewest pages of a library that are worth opening it at each start, about 3 us.
pub const FEWEST_POOLED_PAGES: u64 = 16;

/// The pool of an output.
#[derive(Clone, Copy, Debug)]
pub struct PoolRequest<'a> {
    /// The directory, where the output runs: absolute, without links.
    pub path: &'a Path,
    /// Those of each of the image's objects.
    pub hashes: &'a [Hashes],
}

/// Pages of a library's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFile {
    /// The object, by index.
    pub object: usize,
    /// Where they begin, in bytes.
    pub offset: u64,
}

/// Of which file the pages of a segment are, if they are all as it has them, and stay so. They lie as far within a page of
/// `largest_page` bytes there as in memory.
pub fn in_file(image: &Image, segment: &Segment, largest_page: u64) -> Option<InFile> {
    let stored = segment.file_range();
    if segment.prot & PROT_WRITE != 0 || image.pages.range(stored.clone()).next().is_some() {
        return None;
    }
    let mut found: Option<InFile> = None;
    let mut end = stored.start;
    let regions = image.regions.iter();
    let within = |start, end| start < stored.end && stored.start < end;
    for region in regions.filter(|region| within(region.range.start, region.range.end)) {
        let (object, offset) = region.file.filter(|(object, _)| *object != PROGRAM)?;
        // Where the segment would begin in this file.
        let offset = offset.wrapping_add(stored.start.wrapping_sub(region.range.start));
        let here = InFile { object, offset };
        if region.range.start > end || found.is_some_and(|found| found != here) {
            return None;
        }
        (found, end) = (Some(here), region.range.end);
    }
    found.filter(|found| {
        let len = image.objects[found.object].bytes.len() as u64;
        let last = found.offset.checked_add(segment.file_len);
        let is_whole = found.offset.wrapping_sub(stored.start.value()).is_multiple_of(largest_page)
            && last.is_some_and(|last| last <= page_up(len));
        end >= stored.end && is_whole && u32::try_from(found.offset / PAGE).is_ok()
    })
}

/// The objects that are mapped from the pool, of those of which so many bytes are mapped each; in the order in which the starter
/// comes to them.
pub fn objects(mapped: impl Iterator<Item = (InFile, u64)>) -> Vec<usize> {
    let mut pages: Vec<(usize, u64)> = Vec::new();
    for (InFile { object, .. }, len) in mapped {
        match pages.iter_mut().find(|(known, _)| *known == object) {
            Some((_, sum)) => *sum += len / PAGE,
            None => pages.push((object, len / PAGE)),
        }
    }
    pages.retain(|&(_, pages)| pages >= FEWEST_POOLED_PAGES);
    pages.truncate(usize::from(u16::MAX));
    pages.into_iter().map(|(object, _)| object).collect()
}

/// What the starter is told of a file.
pub fn record(object: &Object, hashes: &Hashes) -> PoolFile {
    let Hashes { sha256, verity } = *hashes;
    PoolFile { sha256, verity, len: object.bytes.len() as u64 }
}

/// The directory as the starter goes there: names, a NUL behind each.
pub fn names(path: &Path) -> Vec<u8> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some([name.as_bytes(), b"\0"].concat()),
        _ => None,
    });
    names.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_with_few_pages_are_left_out() {
        let mapped = |object, pages| (InFile { object, offset: 0 }, pages * PAGE);
        let all = [
            mapped(3, FEWEST_POOLED_PAGES),
            mapped(1, FEWEST_POOLED_PAGES - 1),
            mapped(2, 1),
            mapped(1, 1),
        ];
        assert_eq!(objects(all.into_iter()), [3, 1]);
    }

    #[test]
    fn directories_are_named_one_by_one() {
        assert_eq!(names(Path::new("/var/lib/statify/pool")), b"var\0lib\0statify\0pool\0");
        assert_eq!(names(Path::new("/")), b"");
    }
}

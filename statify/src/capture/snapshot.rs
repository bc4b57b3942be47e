//! The memory of a process at the hand-off: its mappings, and those pages that are not plain pages
//! of a file (proc(5): pagemap tells which).

use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::block::Object;
use super::launch::open_proc;
use super::rearrange::{RearrangeError, read_maps};
use super::tracee::Tracee;
use crate::elf::PAGE;
use crate::procfs::{Mapping, PageState};

/// Page map entries read at once, and pages copied at once.
const BATCH: usize = 1 << 14;

/// A run of pages with the same permissions and origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The addresses.
    pub range: Range<u64>,
    /// PROT_*.
    pub prot: u32,
    /// The object (by index) and the offset in it that the first page is mapped from.
    pub file: Option<(usize, u64)>,
}

/// Pages by address, ascending.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    addresses: Vec<u64>,
    bytes: Vec<u8>,
}

impl Pages {
    /// Number of pages.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// All pages.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.addresses.iter().copied().zip(self.bytes.chunks_exact(PAGE as usize))
    }

    /// The page at this address, if it was kept.
    pub fn get(&self, address: u64) -> Option<&[u8]> {
        let index = self.addresses.binary_search(&address).ok()?;
        self.bytes.chunks_exact(PAGE as usize).nth(index)
    }

    /// Whether any lies in this range.
    pub fn any_in(&self, range: &Range<u64>) -> bool {
        let index = self.addresses.partition_point(|&address| address < range.start);
        self.addresses.get(index).is_some_and(|&address| address < range.end)
    }

    /// The addresses.
    pub fn addresses(&self) -> &[u64] {
        &self.addresses
    }
}

/// Regions and pages of the process within `wanted`.
pub fn take(
    tracee: &Tracee,
    objects: &[Object],
    wanted: &[Range<u64>],
) -> Result<(Vec<Region>, Pages, Vec<Mapping>), RearrangeError> {
    let maps = read_maps(tracee.pid())?;
    let pagemap = open_proc(tracee.pid(), "pagemap").ok();
    let mut regions = Vec::new();
    let mut pages = Pages::default();
    let mut others = Vec::new();
    for mapping in maps {
        if !wanted.iter().any(|w| w.start <= mapping.range.start && mapping.range.end <= w.end) {
            others.push(mapping);
            continue;
        }
        if mapping.shared {
            return Err(RearrangeError::Form("memory is mapped that other processes share"));
        }
        let read_write = (libc::PROT_READ | libc::PROT_WRITE) as u32;
        if mapping.prot & read_write == libc::PROT_WRITE as u32 {
            return Err(RearrangeError::Form("a segment is writable but not readable"));
        }
        let file = (mapping.inode != 0).then(|| {
            let object = objects.iter().position(|o| o.range.contains(&mapping.range.start));
            object.map(|object| (object, mapping.offset))
        });
        let file = match file {
            Some(None) => return Err(RearrangeError::Form("a file is mapped that no module is")),
            other => other.flatten(),
        };
        if mapping.prot & libc::PROT_READ as u32 != 0 {
            read_pages(tracee, pagemap.as_ref(), &mapping, file.is_some(), &mut pages)?;
        }
        // The kernel joins an object's zero-initialised data with what is mapped behind it.
        for range in cut_at_ends(mapping.range.clone(), objects) {
            let file =
                file.map(|(object, offset)| (object, offset + (range.start - mapping.range.start)));
            regions.push(Region { range, prot: mapping.prot, file });
        }
    }
    Ok((regions, pages, others))
}

/// A range in parts, none of which crosses an object's end.
fn cut_at_ends(range: Range<u64>, objects: &[Object]) -> Vec<Range<u64>> {
    let mut ends: Vec<u64> = objects
        .iter()
        .flat_map(|object| [object.range.start, object.range.end])
        .filter(|&end| range.start < end && end < range.end)
        .collect();
    ends.extend([range.start, range.end]);
    ends.sort_unstable();
    ends.dedup();
    ends.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn read_pages(
    tracee: &Tracee,
    pagemap: Option<&std::fs::File>,
    mapping: &Mapping,
    has_file: bool,
    pages: &mut Pages,
) -> Result<(), RearrangeError> {
    let mut start = mapping.range.start;
    let mut entries = vec![0; 8 * BATCH.min(((mapping.range.end - start) / PAGE) as usize)];
    while start < mapping.range.end {
        let count = BATCH.min(((mapping.range.end - start) / PAGE) as usize);
        let states = &mut entries[..8 * count];
        match pagemap {
            Some(file) => file.read_exact_at(states, start / PAGE * 8)?,
            // Without a page map every page counts as changed.
            None => states.fill(0x80),
        }
        let changed = |index: usize| {
            let state = states[8 * index..8 * index + 8].try_into().unwrap_or_default();
            let state = PageState(u64::from_le_bytes(state));
            state.is_there() && !(has_file && state.is_file_page() && pagemap.is_some())
        };
        let mut index = 0;
        while index < count {
            let run = (index..count).take_while(|&i| changed(i)).count();
            if run > 0 {
                let address = start + index as u64 * PAGE;
                let old = pages.bytes.len();
                pages.bytes.resize(old + run * PAGE as usize, 0);
                tracee.read(address, &mut pages.bytes[old..])?;
                pages.addresses.extend((0..run as u64).map(|i| address + i * PAGE));
            }
            index += run + 1;
        }
        start += count as u64 * PAGE;
    }
    Ok(())
}

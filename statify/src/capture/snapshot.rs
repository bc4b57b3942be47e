//! The memory of a process at the hand-off: its mappings, and those pages that are not plain pages
//! of a file (proc(5): pagemap tells which).

use std::ops::Range;
use std::os::unix::fs::FileExt;

use statify_elf::{PAGE, PROT_READ, PROT_WRITE, page_up};
use statify_process::Tracee;
use statify_process::procfs::{Mapping, PageState, page_size};

use super::block::Object;
use super::launch::open_proc;
use super::rearrange::{RearrangeError, read_maps};

/// Page map entries read at once.
const BATCH: u64 = 1 << 14;

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
    let mut readable = Vec::new();
    let mut others = Vec::new();
    for mapping in maps {
        if !wanted.iter().any(|w| w.start <= mapping.range.start && mapping.range.end <= w.end) {
            others.push(mapping);
            continue;
        }
        if mapping.shared {
            return Err(RearrangeError::Form("memory is mapped that other processes share"));
        }
        let read_write = PROT_READ | PROT_WRITE;
        if mapping.prot & read_write == PROT_WRITE {
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
        if mapping.prot & PROT_READ != 0 {
            readable.push((mapping.range.clone(), file.is_some()));
        }
        // The kernel joins an object's zero-initialised data with what is mapped behind it.
        for range in cut_at_ends(mapping.range.clone(), objects) {
            let file =
                file.map(|(object, offset)| (object, offset + (range.start - mapping.range.start)));
            regions.extend(cut_at_file_end(Region { range, prot: mapping.prot, file }, objects));
        }
    }
    let pages = read_pages(tracee, pagemap.as_ref(), &readable)?;
    Ok((regions, pages, others))
}

/// A region, and apart from it what lies behind the end of its file in a page that is larger than [`PAGE`]: zeros.
fn cut_at_file_end(region: Region, objects: &[Object]) -> Vec<Region> {
    let Region { range, prot, file } = region;
    let end = file.map_or(range.end, |(object, offset)| {
        let len = page_up(objects[object].bytes.len() as u64);
        range.start + len.saturating_sub(offset).min(range.end - range.start)
    });
    if end == range.end || page_size() == PAGE || prot & PROT_READ == 0 {
        return vec![Region { range, prot, file }];
    }
    let (held, behind) = (range.start..end, end..range.end);
    let parts = [(held, file), (behind, None)].into_iter();
    let regions = parts.map(|(range, file)| Region { range, prot, file });
    regions.filter(|region| !region.range.is_empty()).collect()
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

/// The pages of these mappings that are not their file's; whether there is one is told with each.
fn read_pages(
    tracee: &Tracee,
    pagemap: Option<&std::fs::File>,
    mappings: &[(Range<u64>, bool)],
) -> Result<Pages, RearrangeError> {
    let page = page_size();
    let mut changed: Vec<Range<u64>> = Vec::new();
    let (mut states, mut known) = (Vec::new(), 0..0);
    for (index, (range, has_file)) in mappings.iter().enumerate() {
        for address in range.clone().step_by(page as usize) {
            if !known.contains(&address) {
                known = address..end_of_run(&mappings[index..]).min(address + BATCH * page);
                // Without a page map every page counts as changed.
                states.clear();
                states.resize(((known.end - known.start) / page * 8) as usize, 0x80);
                if let Some(file) = pagemap {
                    file.read_exact_at(&mut states, address / page * 8)?;
                }
            }
            let state = &states[((address - known.start) / page * 8) as usize..];
            let state = PageState(u64::from_le_bytes(*state.first_chunk().unwrap_or(&[0; 8])));
            let is_plain = *has_file && state.is_file_page() && pagemap.is_some();
            if state.is_there() && !is_plain {
                match changed.last_mut() {
                    Some(last) if last.end == address => last.end += page,
                    _ => changed.push(address..address + page),
                }
            }
        }
    }
    let addresses: Vec<u64> =
        changed.iter().flat_map(|run| run.clone().step_by(PAGE as usize)).collect();
    let mut bytes = vec![0; addresses.len() * PAGE as usize];
    tracee.read_all(&changed, &mut bytes)?;
    Ok(Pages { addresses, bytes })
}

/// Where the mappings end that follow the first without a gap.
fn end_of_run(mappings: &[(Range<u64>, bool)]) -> u64 {
    let gap = mappings.windows(2).find(|pair| pair[0].0.end != pair[1].0.start);
    gap.map(|pair| pair[0].0.end).or(mappings.last().map(|last| last.0.end)).unwrap_or(0)
}

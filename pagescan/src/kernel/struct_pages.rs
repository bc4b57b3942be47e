//! What the kernel knows of frames but tells nowhere: their struct page (include/linux/mm_types.h), read from its array of them.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::bases::Vmemmap;
use super::kernel_memory::KernelMemory;
use super::lack::Lack;
use super::types::Types;

/// So many are read by a call.
const MOST: u64 = 1024;
/// No compound page has more pages.
const LARGEST: u64 = 1 << 18;

/// What a struct page says, as it is there: what words mean depends on whose the frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StructPage {
    /// The first page's address and 1 if it is a tail of a compound page.
    pub compound_head: u64,
    /// Of a page of a file, its struct address_space.
    pub mapping: u64,
    /// Of a page of a file, its number in it.
    pub index: u64,
    /// How many uses of any kind there are.
    pub ref_count: u32,
}

impl StructPage {
    /// Whether it is a page of a compound one, but not its first.
    pub fn is_tail(&self) -> bool {
        self.compound_head & 1 != 0
    }
}

/// The array.
pub struct StructPages {
    vmemmap: Vmemmap,
    compound_head: usize,
    mapping: usize,
    index: usize,
    ref_count: usize,
    memory: Mutex<KernelMemory>,
}

impl StructPages {
    /// Looks for it.
    pub fn find(types: &Types) -> Result<Self, Lack> {
        // A page at least: it is searched for with whole ones.
        let most = (types.size("page")? * MOST as usize).max(rustix::param::page_size());
        let mut memory = KernelMemory::new(most)?;
        Ok(Self {
            vmemmap: Vmemmap::find(&mut memory, types)?,
            // It may become compound_info, with the same lowest bit.
            compound_head: types
                .offset("page", "compound_head")
                .or_else(|_| types.offset("page", "compound_info"))?,
            mapping: types.offset("folio", "mapping")?,
            index: types.offset("folio", "index")?,
            ref_count: types.offset("page", "_refcount")?,
            memory: Mutex::new(memory),
        })
    }

    /// What is said of frames that follow one another; nothing of all zeros where it cannot be read.
    pub fn of(&self, frames: Range<u64>) -> Vec<StructPage> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(&mut memory, frames)
    }

    /// How many uses frames have, given their numbers in ascending order. Those of a compound page are used as one.
    pub fn ref_counts(&self, numbers: &[u64]) -> Vec<u32> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = Vec::with_capacity(numbers.len());
        let mut last = None;
        while let Some(&first) = numbers.get(counts.len()) {
            let rest = &numbers[counts.len()..];
            let near = rest.iter().take_while(|&&number| number >= first && number - first < MOST);
            let near = &rest[..near.count()];
            let end = near.iter().max().map_or(first, |last| last + 1);
            let pages = self.read(&mut memory, first..end);
            for number in near {
                let page = pages.get((number - first) as usize).copied().unwrap_or_default();
                if !page.is_tail() {
                    counts.push(page.ref_count);
                    continue;
                }
                // Tails of one compound page follow one another.
                let (head, count) = match last {
                    Some((head, count)) if head == page.compound_head => (head, count),
                    _ => {
                        let head = self.head(&mut memory, *number, page);
                        (page.compound_head, head.map_or(0, |head| head.ref_count))
                    }
                };
                last = Some((head, count));
                counts.push(count);
            }
        }
        counts
    }

    /// The first page of the compound page that one belongs to.
    fn head(&self, memory: &mut KernelMemory, tail: u64, page: StructPage) -> Option<StructPage> {
        let head = self.vmemmap.frame(page.compound_head - 1)?;
        let is_near = head < tail && tail - head < LARGEST;
        let head = is_near.then(|| self.read(memory, head..head + 1).pop()).flatten()?;
        (!head.is_tail()).then_some(head)
    }

    fn read(&self, memory: &mut KernelMemory, frames: Range<u64>) -> Vec<StructPage> {
        let size = self.vmemmap.size();
        let mut pages = Vec::new();
        let mut at = frames.start;
        while at < frames.end {
            let len = MOST.min(frames.end - at);
            match memory.read(self.vmemmap.address(at), len as usize * size) {
                Some(bytes) => pages.extend(bytes.chunks_exact(size).map(|page| self.parse(page))),
                // A part of the array may not be there.
                None => pages.extend((at..at + len).map(|frame| {
                    let bytes = memory.read(self.vmemmap.address(frame), size);
                    bytes.map(|bytes| self.parse(bytes)).unwrap_or_default()
                })),
            }
            at += len;
        }
        pages
    }

    fn parse(&self, bytes: &[u8]) -> StructPage {
        StructPage {
            compound_head: word(bytes, self.compound_head),
            mapping: word(bytes, self.mapping),
            index: word(bytes, self.index),
            ref_count: word(bytes, self.ref_count) as u32,
        }
    }
}

/// The word at an offset; 0 behind the end.
fn word(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(rest) = bytes.get(offset..) {
        let len = rest.len().min(8);
        word[..len].copy_from_slice(&rest[..len]);
    }
    u64::from_ne_bytes(word)
}

//! What frames hold, read from the kernel's map of all memory: each once, however many processes have it, and without a trace.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::contents::{Content, Contents, Wanted};
use crate::hash::Hasher;
use crate::kernel::{DirectMap, Gather, KernelMemory, Lack, memory_ranges};

/// So many pages are copied by a call: they are still in the processor's second cache when they are hashed.
const PAGES_OF_CALL: usize = 64;
/// So many pages are a thread's piece of work.
const PAGES_OF_PIECE: usize = 1024;

/// Reads by frame. Hundreds of thousands of pages at once keep all processors busy.
pub struct ByFrame {
    map: DirectMap,
    ranges: Vec<Range<u64>>,
    page_size: usize,
    /// Of threads that have come to an end of their piece.
    idle: Mutex<Vec<Gather>>,
}

impl ByFrame {
    /// Finds out whether it can be done here.
    pub fn new() -> Result<Self, Lack> {
        let page_size = rustix::param::page_size();
        let ranges = memory_ranges::of_machine()?;
        let map = DirectMap::find(&mut KernelMemory::new(page_size)?, &ranges)?;
        let first = Gather::new(page_size, PAGES_OF_CALL)?;
        Ok(Self { map, ranges, page_size, idle: Mutex::new(vec![first]) })
    }

    /// Frame numbers of what is memory, ascending.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }
}

impl Contents for ByFrame {
    /// Pages outside of memory, of secretmem and others that the kernel has hidden from itself are unread.
    fn of(&self, wanted: &[Wanted], hasher: &Hasher) -> Vec<Content> {
        let mut contents = vec![Content::Unread; wanted.len()];
        let pieces = contents.par_chunks_mut(PAGES_OF_PIECE).zip(wanted.par_chunks(PAGES_OF_PIECE));
        pieces.for_each(|(contents, wanted)| self.piece(contents, wanted, hasher));
        contents
    }
}

impl ByFrame {
    fn piece(&self, contents: &mut [Content], wanted: &[Wanted], hasher: &Hasher) {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let free = idle().pop();
        // Who gets no means to read has read nothing.
        let made = free.map_or_else(|| Gather::new(self.page_size, PAGES_OF_CALL), Ok);
        let Ok(mut gather) = made else { return };
        let mut places = Vec::with_capacity(wanted.len());
        let mut addresses = Vec::with_capacity(wanted.len());
        for (place, wanted) in wanted.iter().enumerate() {
            let number =
                wanted.number.filter(|&number| memory_ranges::contain(&self.ranges, number));
            if let Some(number) = number {
                places.push(place);
                addresses.push(self.map.address(number));
            }
        }
        gather.each(&addresses, |at, page| {
            if let Some(page) = page {
                contents[places[at]] = Content::of(page, hasher);
            }
        });
        idle().push(gather);
    }
}

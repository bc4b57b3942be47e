//! What becomes of an output's pages: taken from the file as they are, written to at start, or zero.

use std::collections::BTreeSet;

use serde::Serialize;
use statify_elf::{PAGE, page_down};
use statify_format::manifest::{EmbeddedFile, Memory};
use statify_format::parameters::{Parameters, ParametersError};

use super::memory::{self, Mapped, Space};
use super::places::Places;

/// Numbers of pages, 4096 bytes each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pages {
    /// In the output's file.
    pub stored: u64,
    /// Zero, and not in the file.
    pub zero: u64,
    /// Mapped without permission to be read; not in the file either.
    pub inaccessible: u64,
    /// Those that the starter may write to: each process has its own copy of them.
    pub written_at_start: u64,
    /// Stored, and not written to at start: shared by all processes, unless the program writes there.
    pub shared: u64,
    /// Stored, and mapped from the pool instead where that has the library: shared with other outputs, too.
    pub from_pool: u64,
    /// Stored pages whose bytes are those of the original file. Not known without that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_in_original: Option<u64>,
}

impl std::ops::AddAssign for Pages {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.zero += other.zero;
        self.inaccessible += other.inaccessible;
        self.written_at_start += other.written_at_start;
        self.shared += other.shared;
        self.from_pool += other.from_pool;
        let both = self.as_in_original.into_iter().chain(other.as_in_original);
        self.as_in_original = both.reduce(|a, b| a + b);
    }
}

/// The pages that the starter may write to; places.
pub fn written(
    parameters: &Parameters<'_>,
    places: &Places,
) -> Result<BTreeSet<u64>, ParametersError> {
    let writes = memory::writes(parameters)?;
    let pages = writes.into_iter().flat_map(|(place, len)| {
        let place = places.normal(place);
        [page_down(place), page_down(place.wrapping_add(len - 1))]
    });
    Ok(pages.collect())
}

/// The pages that the starter maps from the pool where that has them; places.
pub fn from_pool(parameters: &Parameters<'_>, places: &Places) -> Space {
    let mut space = Space::default();
    for map in parameters.maps().filter(|map| map.pool_file != 0) {
        let start = places.normal(map.to);
        let mapped = Mapped { prot: map.prot.into(), offset: None };
        space.map(start..start.saturating_add(map.len), mapped);
    }
    space
}

/// The pages of a memory of `file`, or of none.
pub fn of(
    places: &Places,
    file: Option<&EmbeddedFile>,
    memory: &Memory,
    written: &BTreeSet<u64>,
    pooled: &Space,
) -> Pages {
    let range = places.of_memory(file, memory);
    let pages = (range.end - range.start) / PAGE;
    let from_pool = pooled.within(range.clone()).map(|(run, _)| (run.end - run.start) / PAGE);
    let from_pool = from_pool.sum();
    let written = written.range(range).count() as u64;
    let mut counts = Pages { written_at_start: written, from_pool, ..Pages::default() };
    match memory.stored_at {
        Some(_) => {
            counts.stored = pages;
            counts.shared = pages.saturating_sub(written);
        }
        None if memory.prot.starts_with('r') => counts.zero = pages,
        None => counts.inaccessible = pages,
    }
    counts
}

/// How many of the pages in `stored`, which were mapped from `offset` on, are those of `original`.
pub fn as_in_original(stored: &[u8], original: &[u8], offset: u64) -> u64 {
    let rest = usize::try_from(offset).ok().and_then(|offset| original.get(offset..));
    let rest = rest.unwrap_or_default();
    let same = stored.chunks(PAGE as usize).enumerate().filter(|(index, page)| {
        let start = index * PAGE as usize;
        let end = rest.len().min(start + page.len());
        rest.get(start..end).is_some_and(|own| {
            let (head, tail) = page.split_at(own.len());
            !own.is_empty() && head == own && tail.iter().all(|&byte| byte == 0)
        })
    });
    same.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_of_a_file_ends_in_zeros() {
        let original = [7u8; 5000];
        let mut stored = [0u8; 3 * 4096];
        stored[..5000].fill(7);
        assert_eq!(as_in_original(&stored, &original, 0), 2);
        stored[5001] = 1;
        assert_eq!(as_in_original(&stored, &original, 0), 1);
        assert_eq!(as_in_original(&stored[4096..], &original, 4096), 0);
        assert_eq!(as_in_original(&stored, &original, 1 << 40), 0);
    }
}

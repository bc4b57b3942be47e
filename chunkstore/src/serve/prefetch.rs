//! What was read the last time, fetched before it is asked for, but never while a read waits.

use std::collections::HashSet;
use std::time::Duration;

use super::chunks::{Chunks, For};
use super::trace::Read;

/// How long to wait for reads that wait themselves.
const YIELD: Duration = Duration::from_millis(2);

/// The chunks that these reads need, in their order, each once.
pub fn wanted(chunks: &Chunks, reads: &[Read]) -> Vec<usize> {
    let index = &chunks.index;
    let mut seen = HashSet::new();
    let positions = reads.iter().flat_map(|read| {
        let end = read.offset.saturating_add(read.length).min(index.image_len);
        index.position_of(read.offset)
            ..end.checked_sub(1).map_or(0, |last| index.position_of(last) + 1)
    });
    let numbers = positions.filter_map(|position| index.at(position));
    numbers.filter(|number| seen.insert(*number)).collect()
}

/// Fetches them, `workers` at once. What cannot be fetched is left to who wants it.
pub fn fetch(chunks: &Chunks, wanted: &[usize], workers: usize) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(&number) = wanted.get(index) else { return };
            while chunks.is_busy() {
                std::thread::sleep(YIELD);
            }
            let _ = chunks.get(number, For::Later);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
}

//! The comparison of hashes as a whole.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::contents::Contents;
use super::pages::{PAGE, Pages};
use super::paper::paper_false_positives;
use super::speed::Stopwatch;
use crate::hash::{Algorithm, Hasher};
use crate::{Error, Result};

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The algorithms; the keyed one gets a key that is of no meaning.
    pub algorithms: Vec<Algorithm>,
    /// How often each hashes all pages.
    pub rounds: usize,
    /// Bytes of pages that are read, and then hashed by all, at a time. More than the processor's caches hold, so that what is
    /// measured is how fast a page is hashed that comes from memory.
    pub batch: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { algorithms: Algorithm::ALL.into(), rounds: 5, batch: 128 << 20 }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whose pages they are.
    pub of: String,
    /// Pages that were hashed.
    pub pages: u64,
    /// Different contents among them (by SHA-256).
    pub contents: u64,
    /// Pages that are there, and could not be read.
    pub unread: u64,
    /// How often each algorithm hashed all of them.
    pub rounds: usize,
    /// Each algorithm, the fastest first.
    pub hashes: Vec<Row>,
}

/// An algorithm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub hash: &'static str,
    /// Bits of its result.
    pub bits: u32,
    /// 10^9 bytes a second of one core, in the median round.
    pub gigabytes_per_second: f64,
    /// In the slowest round.
    pub least: f64,
    /// In the fastest round.
    pub most: f64,
    /// Seconds of computing for 2^30 bytes, in the median round (figure 5.2).
    pub seconds_per_gib: f64,
    /// Contents that it takes for another (table 5.4).
    pub false_positives: u64,
    /// Pages that have a hash together with pages that hold something else.
    pub mistaken_pages: u64,
    /// The paper's false positives, where it has some.
    pub paper_false_positives: Option<u64>,
}

/// Compares algorithms on pages. Memory: a batch, and for each different content some 50 bytes and 16 for each algorithm.
pub fn compare(
    of: &str,
    pages: &mut dyn Pages,
    plan: &Plan,
    is_over: &AtomicBool,
) -> Result<Comparison> {
    let hashers: Vec<Hasher> = plan
        .algorithms
        .iter()
        .map(|algorithm| {
            Hasher::unkeyed(*algorithm).unwrap_or_else(|| Hasher::Keyed(Box::new([1; 32])))
        })
        .collect();
    let is_over = || is_over.load(Ordering::Relaxed);
    let mut contents = Contents::new(hashers.len());
    let mut watch = Stopwatch::new(hashers.len(), plan.rounds.max(1));
    let mut batch = vec![0; plan.batch.next_multiple_of(PAGE).max(PAGE)];
    let mut count = 0;
    loop {
        let len = fill(pages, &mut batch, is_over)?;
        if len == 0 {
            break;
        }
        watch.run(&batch[..len], &hashers, is_over);
        for page in batch[..len].as_chunks::<PAGE>().0 {
            contents.add(page, &hashers);
        }
        if is_over() {
            return Err(Error::Interrupted);
        }
        count += (len / PAGE) as u64;
    }
    let row = |(index, algorithm): (usize, &Algorithm)| {
        let speed = watch.speed(index)?;
        let mistakes = contents.mistakes(index);
        Some(Row {
            hash: algorithm.name(),
            bits: algorithm.bits(),
            gigabytes_per_second: speed.median,
            least: speed.least,
            most: speed.most,
            seconds_per_gib: (1u64 << 30) as f64 / 1e9 / speed.median,
            false_positives: mistakes.contents,
            mistaken_pages: mistakes.pages,
            paper_false_positives: paper_false_positives(*algorithm),
        })
    };
    let mut hashes: Vec<Row> = plan.algorithms.iter().enumerate().filter_map(row).collect();
    hashes.sort_by(|a, b| b.gigabytes_per_second.total_cmp(&a.gigabytes_per_second));
    Ok(Comparison {
        of: of.to_owned(),
        pages: count,
        contents: contents.len() as u64,
        unread: pages.unread(),
        rounds: plan.rounds.max(1),
        hashes,
    })
}

/// As many pages as a batch holds, or as there are.
fn fill(pages: &mut dyn Pages, batch: &mut [u8], is_over: impl Fn() -> bool) -> Result<usize> {
    /// Read at once, so that an end that is wished for does not wait long.
    const PIECE: usize = 4 << 20;
    let mut len = 0;
    while len < batch.len() {
        if is_over() {
            return Err(Error::Interrupted);
        }
        let end = batch.len().min(len + PIECE);
        match pages.next(&mut batch[len..end])? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::super::made_up::MadeUp;
    use super::*;

    #[test]
    fn all_pages_are_compared_in_batches() {
        let plan = Plan { rounds: 2, batch: 7 * PAGE, ..Plan::default() };
        let comparison =
            compare("x", &mut MadeUp::new(50), &plan, &AtomicBool::new(false)).unwrap();
        assert_eq!((comparison.pages, comparison.contents, comparison.unread), (50, 50, 0));
        assert_eq!(comparison.hashes.len(), Algorithm::ALL.len());
        assert!(comparison.hashes.iter().all(|row| row.false_positives == 0 && row.least > 0.0));
        assert!(
            comparison.hashes.is_sorted_by(|a, b| a.gigabytes_per_second >= b.gigabytes_per_second)
        );
    }

    #[test]
    fn nothing_and_an_end_that_is_wished_for() {
        let (plan, over) = (Plan { batch: PAGE, ..Plan::default() }, AtomicBool::new(true));
        assert!(matches!(compare("x", &mut MadeUp::new(9), &plan, &over), Err(Error::Interrupted)));
        let none = compare("x", &mut MadeUp::new(0), &plan, &AtomicBool::new(false)).unwrap();
        assert_eq!((none.pages, none.hashes.len()), (0, 0));
    }
}

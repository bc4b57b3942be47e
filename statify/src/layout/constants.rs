//! Pages of zero-initialised memory in which the loader has written a few words: the starter
//! writes them again, and the pages stay out of the file, and out of the file's page cache.

use std::collections::BTreeMap;

use statify_elf::PROT_EXEC;

use crate::classify::{Image, Region};
use crate::place::Place;

/// The most words that a page may have. Each takes 16 bytes in the starter's tables.
const MOST_WORDS: usize = 16;

/// By page, the words that are not zero: place and value.
pub type Constants = BTreeMap<Place, Vec<(Place, u64)>>;

/// Finds such pages.
pub fn find(image: &Image) -> Constants {
    let mut constants = Constants::new();
    // What is executable never becomes writable; the agent's index is not complete yet.
    let is_data = |region: &&Region| {
        region.file.is_none()
            && region.prot & PROT_EXEC == 0
            && !image.index.contains(&region.range.start)
    };
    for region in image.regions.iter().filter(is_data) {
        for (&place, page) in image.pages.range(region.range.clone()) {
            let words = page.as_chunks::<8>().0.iter().enumerate();
            let words = words
                .map(|(index, word)| (place + 8 * index as u64, u64::from_le_bytes(*word)))
                .filter(|&(_, word)| word != 0);
            let words: Vec<_> = words.take(MOST_WORDS + 1).collect();
            if words.len() <= MOST_WORDS {
                constants.insert(place, words);
            }
        }
    }
    constants
}

//! Which pages a hash takes for the same that are not: its false positives.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::hash::{Hasher, PageHash};

/// What pages hold, each content once, with its hash by each of some algorithms. Contents are told apart by SHA-256.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// By SHA-256, the place of each in the lists.
    places: HashMap<[u8; 32], u32>,
    /// How many pages hold it.
    pages: Vec<u64>,
    /// Of each algorithm, the hash of each content.
    hashes: Vec<Vec<PageHash>>,
}

/// How often an algorithm was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// Contents less hashes: as many contents are taken for another.
    pub contents: u64,
    /// Pages that have a hash together with pages that hold something else.
    pub pages: u64,
}

impl Contents {
    /// None yet, for as many algorithms.
    pub fn new(algorithms: usize) -> Self {
        Self { hashes: vec![Vec::new(); algorithms], ..Self::default() }
    }

    /// Adds a page. The algorithms are the same, in the same order, at each call; what they find is remembered for contents that are
    /// new only.
    pub fn add(&mut self, page: &[u8], hashers: &[Hasher]) {
        let digest = Sha256::digest(page).into();
        let next = self.pages.len() as u32;
        let place = *self.places.entry(digest).or_insert(next);
        if place == next {
            self.pages.push(0);
            for (hashes, hasher) in self.hashes.iter_mut().zip(hashers) {
                hashes.push(hasher.hash(page));
            }
        }
        self.pages[place as usize] += 1;
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// How often the algorithm of this place in the list was wrong.
    pub fn mistakes(&self, algorithm: usize) -> Mistakes {
        let Some(hashes) = self.hashes.get(algorithm) else { return Mistakes::default() };
        let mut sorted: Vec<(PageHash, u64)> =
            hashes.iter().copied().zip(self.pages.iter().copied()).collect();
        sorted.sort_unstable_by_key(|(hash, _)| *hash);
        let mut mistakes = Mistakes::default();
        for alike in sorted.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            mistakes.contents += alike.len() as u64 - 1;
            mistakes.pages += alike.iter().map(|(_, pages)| pages).sum::<u64>();
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with these bytes at its beginning.
    fn page(beginning: &[u8]) -> Vec<u8> {
        let mut page = vec![7; 4096];
        page[..beginning.len()].copy_from_slice(beginning);
        page
    }

    #[test]
    fn planted_collisions_are_counted() {
        let hashers = [Hasher::SimplePattern, Hasher::Xxh3_128, Hasher::Crc32];
        let mut contents = Contents::new(hashers.len());
        // The simple pattern does not look at byte 3: four contents in six pages are one to it.
        for last in [0, 1, 2, 3, 3, 3] {
            contents.add(&page(&[0, 0, 0, last]), &hashers);
        }
        // Two more in two pages, and one that is like no other in two.
        for beginning in [[0, 1, 1, 0], [0, 1, 1, 1], [0, 2, 2, 2], [0, 2, 2, 2]] {
            contents.add(&page(&beginning), &hashers);
        }
        assert_eq!(contents.len(), 7);
        assert_eq!(contents.mistakes(0), Mistakes { contents: 4, pages: 8 });
        assert_eq!(contents.mistakes(1), Mistakes::default());
        assert_eq!(contents.mistakes(2), Mistakes::default());
    }

    #[test]
    fn a_crc_collision_is_one() {
        // CRC is linear: whatever differs by a multiple of its polynomial (0x104C11DB7, lowest bit first) is the same to it.
        let (one, mut other) = (page(&[]), page(&[]));
        let bits = 0x1_04C1_1DB7u64.reverse_bits() >> 31;
        for (i, byte) in bits.to_le_bytes()[..5].iter().enumerate() {
            other[100 + i] ^= byte;
        }
        let hashers = [Hasher::Crc32, Hasher::Crc32Ex, Hasher::SuperFastHash];
        let mut contents = Contents::new(hashers.len());
        contents.add(&one, &hashers);
        contents.add(&other, &hashers);
        assert_eq!(contents.mistakes(0), Mistakes { contents: 1, pages: 2 });
        // A quarter of a page has the same weakness.
        assert_eq!(contents.mistakes(1), Mistakes { contents: 1, pages: 2 });
        assert_eq!(contents.mistakes(2), Mistakes::default());
    }
}

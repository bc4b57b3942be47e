//! Equal contents found among many: hashes are dealt out by their first bits into parts that fit a processor's cache. In each, those
//! that are like no other are told apart by their next bits alone, and only the few that are left are sorted. No table of hashes is
//! built.

use crate::hash::PageHash;

/// So many bits deal hashes out.
const BITS: u32 = 8;
/// Room is taken for so many at a time.
const CHUNK: usize = 2048;
/// Of each frame there are 2 to the power of this less 1 places, at the least.
const PLACE_BITS: u32 = 3;

/// What a frame holds, in 20 bytes.
#[derive(Clone, Copy)]
struct Stored {
    hash: [u32; 4],
    frame: u32,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    high: u64,
    low: u64,
    /// Which frame.
    pub frame: u32,
}

impl Entry {
    /// The hash; its first byte is the most significant.
    pub fn hash(&self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// Whether it is the same content.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.high, self.low) == (other.high, other.low)
    }
}

/// What frames hold.
pub struct Partition {
    parts: Vec<Part>,
}

/// Those whose hashes begin alike.
#[derive(Default)]
struct Part {
    open: Vec<Stored>,
    full: Vec<Vec<Stored>>,
}

impl Part {
    fn chunks(&self) -> impl Iterator<Item = &[Stored]> {
        self.full.iter().chain([&self.open]).map(Vec::as_slice)
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self { parts: (0..1 << BITS).map(|_| Part::default()).collect() }
    }
}

impl Partition {
    /// Adds a frame.
    #[inline]
    pub fn push(&mut self, hash: PageHash, frame: u32) {
        let part = &mut self.parts[usize::from(hash.0[0])];
        let hash = u128::from_be_bytes(hash.0);
        let hash = [(hash >> 96) as u32, (hash >> 64) as u32, (hash >> 32) as u32, hash as u32];
        if part.open.len() == CHUNK {
            let full = std::mem::replace(&mut part.open, Vec::with_capacity(CHUNK));
            part.full.push(full);
        }
        // The first grows as it must: of few frames none takes much room.
        part.open.push(Stored { hash, frame });
    }

    /// Shows, part by part, the frames whose contents several frames hold, by content and then by frame, both ascending. Returns
    /// how many contents there are.
    pub fn repeated(self, mut each: impl FnMut(&[Entry])) -> u64 {
        let mut contents = 0;
        let mut places = Vec::new();
        let (mut left, mut entries, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for part in self.parts {
            contents += part.singles_apart(&mut places, &mut left);
            drop(part);
            sort(&left, &mut entries, &mut ends);
            // What is left and alone was in the place of another: it goes, and the rest closes up.
            let mut kept = 0;
            let mut start = 0;
            while start < entries.len() {
                let first = entries[start];
                let len = entries[start..].iter().take_while(|entry| entry.is_like(&first)).count();
                contents += 1;
                if len > 1 {
                    entries.copy_within(start..start + len, kept);
                    kept += len;
                }
                start += len;
            }
            each(&entries[..kept]);
        }
        contents
    }
}

impl Part {
    /// Deals all out to places by their next bits, several places for each, and only counts how many come to a place, up to two. What
    /// comes to a place alone is like no other: how many these are. The others become the entries.
    fn singles_apart(&self, places: &mut Vec<u8>, entries: &mut Vec<Entry>) -> u64 {
        let len = self.full.len() * CHUNK + self.open.len();
        let bits = (len.checked_ilog2().unwrap_or(0) + PLACE_BITS).min(24);
        // The bits of the first two words behind those that all of this part have alike.
        let place = |stored: &Stored| {
            let words = u64::from(stored.hash[0]) << 32 | u64::from(stored.hash[1]);
            ((words << BITS) >> (64 - bits)) as usize
        };
        places.clear();
        places.resize(1 << bits, 0);
        for chunk in self.chunks() {
            for stored in chunk {
                let count = &mut places[place(stored)];
                *count = (*count + 1).min(2);
            }
        }
        entries.clear();
        let mut singles = 0;
        for chunk in self.chunks() {
            // All are written, and those that are alone are written over: what comes next cannot be guessed.
            let mut end = entries.len();
            entries.resize(end + chunk.len(), Entry::default());
            for stored in chunk {
                let [a, b, c, d] = stored.hash;
                let high = u64::from(a) << 32 | u64::from(b);
                let low = u64::from(c) << 32 | u64::from(d);
                entries[end] = Entry { high, low, frame: stored.frame };
                end += usize::from(places[place(stored)] > 1);
            }
            singles += (entries.len() - end) as u64;
            entries.truncate(end);
        }
        singles
    }
}

/// Sorts entries of a part into others: dealt out by their next bits, few are in one place. `ends` has then where each place ends.
fn sort(left: &[Entry], sorted: &mut Vec<Entry>, ends: &mut Vec<u32>) {
    let bits = (left.len().checked_ilog2().unwrap_or(0) + 1).min(24);
    let place = |entry: &Entry| ((entry.high << BITS) >> (64 - bits)) as usize;
    ends.clear();
    ends.resize((1 << bits) + 1, 0);
    for entry in left {
        ends[place(entry) + 1] += 1;
    }
    for index in 1..ends.len() {
        ends[index] += ends[index - 1];
    }
    sorted.clear();
    sorted.resize(left.len(), Entry::default());
    // Each start becomes the place's end.
    for entry in left {
        let at = &mut ends[place(entry)];
        sorted[*at as usize] = *entry;
        *at += 1;
    }
    let mut start = 0;
    for &end in &ends[..1 << bits] {
        sorted[start..end as usize].sort_unstable();
        start = end as usize;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_ones_are_together(
            hashes in proptest::collection::vec((0u8..4, any::<prop::sample::Index>()), 0..6000),
            pool in proptest::collection::vec(any::<[u8; 16]>(), 1..3000),
        ) {
            let mut partition = Partition::default();
            let mut expected: BTreeMap<[u8; 16], Vec<u32>> = BTreeMap::new();
            for (frame, (kind, index)) in hashes.iter().enumerate() {
                // Some that are alike in most of their bits.
                let mut hash = *index.get(&pool);
                match kind { 0 => hash[..15].fill(7), 1 => hash[1..].fill(7), _ => {} }
                partition.push(PageHash(hash), frame as u32);
                expected.entry(hash).or_default().push(frame as u32);
            }
            let mut found = Vec::new();
            let contents = partition.repeated(|entries| for group in entries.chunk_by(Entry::is_like) {
                found.push((group[0].hash().to_be_bytes(), group.iter().map(|entry| entry.frame).collect::<Vec<_>>()));
            });
            prop_assert_eq!(contents, expected.len() as u64);
            prop_assert_eq!(found, expected.into_iter().filter(|held| held.1.len() > 1).collect::<Vec<_>>());
        }
    }
}

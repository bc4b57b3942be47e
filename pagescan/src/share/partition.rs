//! Equal contents found among many: hashes are dealt out by their first bits into parts that fit a processor's cache, and each
//! part is dealt out again before what little is left together is sorted. No table of hashes is built.

use crate::hash::PageHash;

/// So many bits deal hashes out.
const BITS: u32 = 8;
/// Room is taken for so many at a time.
const CHUNK: usize = 2048;

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

    fn is_like(&self, other: &Self) -> bool {
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
    fn stored(&self) -> impl Iterator<Item = &Stored> {
        self.full.iter().flatten().chain(&self.open)
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self { parts: (0..1 << BITS).map(|_| Part::default()).collect() }
    }
}

impl Partition {
    /// Adds a frame.
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

    /// Shows each content that several frames hold with all of them, both ascending. Returns how many contents there are.
    pub fn groups(self, mut each: impl FnMut(&[Entry])) -> u64 {
        let mut contents = 0;
        let mut entries = Vec::new();
        let mut starts = Vec::new();
        for part in self.parts {
            deal(&part, &mut entries, &mut starts);
            drop(part);
            let mut start = 0;
            // What was dealt out to one place, of which there are few, is all that can be alike.
            for &end in &starts {
                let end = end as usize;
                match &mut entries[start..end] {
                    [] => {}
                    [_] => contents += 1,
                    bucket => {
                        bucket.sort_unstable();
                        for group in bucket.chunk_by(Entry::is_like) {
                            contents += 1;
                            if group.len() > 1 {
                                each(group);
                            }
                        }
                    }
                }
                start = end;
            }
        }
        contents
    }
}

/// The entries of a part, dealt out by their next bits; `ends` says where each place of them ends.
fn deal(part: &Part, entries: &mut Vec<Entry>, ends: &mut Vec<u32>) {
    let len = part.full.len() * CHUNK + part.open.len();
    let bits = (len.checked_ilog2().unwrap_or(0) + 1).clamp(1, 20);
    // The bits of the first two words behind those that all entries of this part have alike.
    let place = |stored: &Stored| {
        let words = u64::from(stored.hash[0]) << 32 | u64::from(stored.hash[1]);
        ((words << BITS) >> (64 - bits)) as usize
    };
    ends.clear();
    ends.resize((1 << bits) + 1, 0);
    for stored in part.stored() {
        ends[place(stored) + 1] += 1;
    }
    for index in 1..ends.len() {
        ends[index] += ends[index - 1];
    }
    entries.clear();
    entries.resize(len, Entry::default());
    // Each start becomes the place's end.
    for stored in part.stored() {
        let at = &mut ends[place(stored)];
        let [a, b, c, d] = stored.hash;
        let (high, low) = (u64::from(a) << 32 | u64::from(b), u64::from(c) << 32 | u64::from(d));
        entries[*at as usize] = Entry { high, low, frame: stored.frame };
        *at += 1;
    }
    ends.truncate(1 << bits);
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
            let contents = partition.groups(|group| {
                found.push((group[0].hash().to_be_bytes(), group.iter().map(|entry| entry.frame).collect::<Vec<_>>()));
            });
            prop_assert_eq!(contents, expected.len() as u64);
            prop_assert_eq!(found, expected.into_iter().filter(|held| held.1.len() > 1).collect::<Vec<_>>());
        }
    }
}

//! Chunks that end where their contents say so: FastCDC, as the crate `fastcdc` has it (v2020, normalization 1). Its cuts
//! follow from the bytes since the last one only, so that they are the same wherever and whenever they are looked for.

use std::ops::Range;

use fastcdc::v2020::FastCDC;

use crate::chunking::Bounds;

/// Cuts by contents.
#[derive(Debug)]
pub struct Cutter {
    bounds: Bounds,
    /// How long the chunks of a long run of zeros are.
    zeros: u64,
}

impl Cutter {
    /// By these bounds.
    pub fn new(bounds: Bounds) -> Self {
        let mut cutter = Self { bounds, zeros: 1 };
        let zeros = vec![0; bounds.most() as usize];
        let first = cutter.pieces(&zeros, true).into_iter().next();
        cutter.zeros = first.map_or(1, |piece| piece.len() as u64);
        cutter
    }

    /// The chunks at the beginning of `bytes`, a chunk's beginning. Unless the image ends with them, bytes are left at their end
    /// whose chunk depends on what follows.
    pub fn pieces(&self, bytes: &[u8], is_end: bool) -> Vec<Range<usize>> {
        let [least, average, most] =
            [self.bounds.least(), self.bounds.average(), self.bounds.most()].map(|n| n as usize);
        let cutter = FastCDC::new(bytes, least, average, most);
        let mut pieces = Vec::with_capacity(bytes.len() / average + 1);
        let mut at = 0;
        while at < bytes.len() && (is_end || bytes.len() - at >= most) {
            let (_, end) = cutter.cut(at, bytes.len() - at);
            pieces.push(at..end);
            at = end;
        }
        pieces
    }

    /// How many zeros from a chunk's beginning on are whole chunks, if there are `zeros` of them at least.
    pub fn skip(&self, zeros: u64) -> u64 {
        match zeros.checked_sub(self.bounds.most().into()) {
            Some(more) => (more / self.zeros + 1) * self.zeros,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn bounds() -> impl Strategy<Value = Bounds> {
        (512u64..4096, 0u64..4096, 0u64..8192).prop_map(|(least, more, yet_more)| {
            let least = least * 2;
            let average = least + more * 2;
            Bounds::new(least, average, average + yet_more * 2).unwrap()
        })
    }

    proptest! {
        /// Cut in parts of any size, with zeros skipped or not, the chunks are the same.
        #[test]
        fn cuts_follow_from_contents(
            bounds in bounds(),
            seed in any::<u64>(),
            zeros in 0usize..200_000,
            part in 50_000usize..300_000,
        ) {
            let bytes =
                [noise(seed, 150_000), vec![0; zeros], noise(seed, 70_001)].concat();
            let cutter = Cutter::new(bounds);
            let whole: Vec<usize> =
                cutter.pieces(&bytes, true).into_iter().map(|piece| piece.end).collect();
            prop_assert_eq!(whole.last(), Some(&bytes.len()));
            let (mut at, mut ends) = (0, Vec::new());
            while at < bytes.len() {
                let end = bytes.len().min(at + part);
                let pieces = cutter.pieces(&bytes[at..end], end == bytes.len());
                prop_assert!(!pieces.is_empty());
                let from = at;
                for piece in pieces {
                    prop_assert!(piece.len() <= bounds.most() as usize);
                    prop_assert!(piece.len() >= bounds.least() as usize || from + piece.end == bytes.len());
                    at = from + piece.end;
                    ends.push(at);
                }
            }
            prop_assert_eq!(&ends, &whole);
            // As if the zeros were a hole.
            for start in std::iter::once(0).chain(whole.iter().copied()) {
                let ahead = bytes[start..].iter().take_while(|byte| **byte == 0).count();
                let skipped = start + cutter.skip(ahead as u64) as usize;
                prop_assert!(skipped == start || whole.contains(&skipped));
                prop_assert!(bytes[start..skipped].iter().all(|byte| *byte == 0));
            }
        }
    }
}

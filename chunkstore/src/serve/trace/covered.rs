//! What of a line of numbers is covered by ranges, however many lie over one another.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that neither touch nor lie over one another: by their starts, their ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered(BTreeMap<u64, u64>);

impl Covered {
    /// Adds a range. Returns the parts of it that were not covered, in order.
    pub fn add(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut new = Vec::new();
        if range.is_empty() {
            return new;
        }
        let (mut start, mut end, mut at) = (range.start, range.end, range.start);
        let before = self.0.range(..range.start).next_back().filter(|(_, end)| **end >= start);
        let from = before.map_or(range.start, |(start, _)| *start);
        let met: Vec<(u64, u64)> = self.0.range(from..=range.end).map(|(s, e)| (*s, *e)).collect();
        for (met_start, met_end) in met {
            if met_start > at {
                new.push(at..met_start);
            }
            (at, start, end) = (at.max(met_end), start.min(met_start), end.max(met_end));
            self.0.remove(&met_start);
        }
        if at < range.end {
            new.push(at..range.end);
        }
        self.0.insert(start, end);
        new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut covered = Covered::default();
        for (range, new) in [
            (10..20, vec![(10, 20)]),
            (30..40, vec![(30, 40)]),
            (20..25, vec![(20, 25)]),
            (12..18, vec![]),
            (5..50, vec![(5, 10), (25, 30), (40, 50)]),
            (7..7, vec![]),
        ] {
            let parts = covered.add(range).into_iter().map(|part| (part.start, part.end));
            assert_eq!(parts.collect::<Vec<_>>(), new);
        }
        assert_eq!(covered.0.into_iter().collect::<Vec<_>>(), [(5, 50)]);
        let mut covered = Covered::default();
        assert_eq!(covered.add(0..u64::MAX).len(), 1);
        assert!(covered.add(5..u64::MAX).is_empty());
    }

    proptest! {
        #[test]
        fn every_number_is_new_once(ranges in proptest::collection::vec((0u64..60, 0u64..20), 0..40)) {
            let (mut covered, mut seen) = (Covered::default(), BTreeSet::new());
            for (start, len) in ranges {
                let expected: Vec<u64> = (start..start + len).filter(|n| !seen.contains(n)).collect();
                let new: Vec<u64> = covered.add(start..start + len).into_iter().flatten().collect();
                prop_assert_eq!(&new, &expected);
                seen.extend(new);
            }
            let mut last = None;
            for (start, end) in covered.0 {
                prop_assert!(start < end && last.is_none_or(|last| last < start));
                last = Some(end);
            }
        }
    }
}

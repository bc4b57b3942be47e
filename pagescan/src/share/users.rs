//! Who uses a frame, and how often: few sets of domains are enough for all frames, so each frame has the number of one.

use std::collections::HashMap;

/// Domains, ascending, each with how often it uses a frame.
type Set = Box<[(u32, u32)]>;

/// Nobody.
pub const NOBODY: u32 = 0;
/// More than one use, which are listed elsewhere until all are known.
const SEVERAL: u32 = u32::MAX;

/// The sets that there are, by number.
pub struct Sets {
    numbers: HashMap<Set, u32>,
    sets: Vec<Set>,
    uses: Vec<u64>,
}

impl Default for Sets {
    fn default() -> Self {
        let mut sets = Self { numbers: HashMap::new(), sets: Vec::new(), uses: Vec::new() };
        sets.number(&[]);
        sets
    }
}

impl Sets {
    /// The number of a set.
    pub fn number(&mut self, set: &[(u32, u32)]) -> u32 {
        if let Some(number) = self.numbers.get(set) {
            return *number;
        }
        let number = self.sets.len() as u32;
        self.numbers.insert(set.into(), number);
        self.uses.push(set.iter().map(|(_, uses)| u64::from(*uses)).sum());
        self.sets.push(set.into());
        number
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Who is in one.
    pub fn get(&self, number: u32) -> &[(u32, u32)] {
        &self.sets[number as usize]
    }

    /// How often all together use a frame.
    pub fn uses(&self, number: u32) -> u64 {
        self.uses[number as usize]
    }

    /// The only domain in one.
    pub fn only(&self, number: u32) -> Option<u32> {
        match self.get(number) {
            [(domain, _)] => Some(*domain),
            _ => None,
        }
    }
}

/// Of each frame, the number of its users' set.
#[derive(Default)]
pub struct Users {
    /// The sets.
    pub sets: Sets,
    of_frames: Vec<u32>,
    /// The frame and user of each use of frames that are used more than once.
    several: Vec<(u32, u32)>,
}

impl Users {
    /// Adds a frame that this set uses.
    #[inline]
    pub fn push(&mut self, set: u32) {
        self.of_frames.push(set);
    }

    /// Says that a domain uses a frame once more.
    pub fn add(&mut self, frame: u32, domain: u32, alone: u32) {
        let set = &mut self.of_frames[frame as usize];
        match *set {
            NOBODY => *set = alone,
            SEVERAL => self.several.push((frame, domain)),
            first => {
                // What used it before did so once: otherwise nothing is added to it.
                let first = self.sets.only(first).unwrap_or(domain);
                self.several.extend([(frame, first), (frame, domain)]);
                *set = SEVERAL;
            }
        }
    }

    /// The sets, and each frame's, when all uses are known.
    pub fn finish(mut self) -> (Sets, Vec<u32>) {
        self.several.sort_unstable();
        let mut set = Vec::new();
        for uses in self.several.chunk_by(|a, b| a.0 == b.0) {
            set.clear();
            for of_domain in uses.chunk_by(|a, b| a.1 == b.1) {
                set.push((of_domain[0].1, u32::try_from(of_domain.len()).unwrap_or(u32::MAX)));
            }
            self.of_frames[uses[0].0 as usize] = self.sets.number(&set);
        }
        (self.sets, self.of_frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_counted_whatever_their_order() {
        let mut users = Users::default();
        let alone: Vec<u32> = (0..3).map(|domain| users.sets.number(&[(domain, 1)])).collect();
        for _ in 0..4 {
            users.push(NOBODY);
        }
        for (frame, domain) in [(0, 2), (1, 1), (0, 1), (2, 1), (0, 2), (2, 2), (2, 1), (2, 2)] {
            users.add(frame, domain, alone[domain as usize]);
        }
        let (sets, of_frames) = users.finish();
        let found: Vec<_> = of_frames.iter().map(|set| (sets.get(*set), sets.uses(*set))).collect();
        assert_eq!(
            found,
            [(&[(1, 1), (2, 2)][..], 3), (&[(1, 1)], 1), (&[(1, 2), (2, 2)], 4), (&[], 0)]
        );
    }
}

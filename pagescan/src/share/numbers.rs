//! Frame numbers in little room: where each follows the one before, one is enough.

/// Numbers of frames by index.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Indexes at which the number is not that of the one before and one more, with it.
    runs: Vec<(u32, u64)>,
    len: u32,
    next: u64,
}

impl Numbers {
    /// Adds the next frame's.
    #[inline]
    pub fn push(&mut self, number: u64) {
        if self.len == 0 || number != self.next {
            self.runs.push((self.len, number));
        }
        self.len += 1;
        self.next = number.wrapping_add(1);
    }

    /// Whether they do take little room.
    pub fn are_few(&self) -> bool {
        self.runs.len() <= 1 << 16 || self.runs.len() <= self.len as usize / 16
    }

    /// A frame's.
    pub fn get(&self, index: u64) -> Option<u64> {
        let index = u32::try_from(index).ok().filter(|index| *index < self.len)?;
        let run = self.runs.partition_point(|run| run.0 <= index).checked_sub(1)?;
        let (first, number) = self.runs[run];
        Some(number.wrapping_add(u64::from(index - first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_found_again() {
        let all = [7, 8, 9, 100, 3, 4, u64::MAX, 0, 5];
        let mut numbers = Numbers::default();
        all.into_iter().for_each(|number| numbers.push(number));
        let found: Vec<u64> =
            (0..all.len() as u64).filter_map(|index| numbers.get(index)).collect();
        assert_eq!(found, all);
        assert_eq!((numbers.get(9), numbers.runs.len()), (None, 5));
    }
}

//! Which frames were seen before, and what their index is.

use std::collections::HashMap;

/// By what a frame is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its number.
    Number(u64),
    /// Where the kernel tells none: that it caches this page of this file, by the file's index.
    FilePage(u32, u64),
    /// By nothing.
    None,
}

/// Frames of a leaf.
const LEAF: u64 = 512;

/// Indexes of frames.
#[derive(Debug, Default)]
pub struct Known {
    /// By number: index and 1, or 0. Frames that lie side by side are asked for one after the other.
    numbers: HashMap<u64, Box<[u64; LEAF as usize]>>,
    file_pages: HashMap<(u32, u64), u64>,
}

impl Known {
    /// The index of a frame that was seen before.
    pub fn get(&self, frame: Identity) -> Option<u64> {
        match frame {
            Identity::Number(number) => {
                let leaf = self.numbers.get(&(number / LEAF))?;
                leaf[(number % LEAF) as usize].checked_sub(1)
            }
            Identity::FilePage(file, page) => self.file_pages.get(&(file, page)).copied(),
            Identity::None => None,
        }
    }

    /// Says which index a frame has.
    pub fn insert(&mut self, frame: Identity, index: u64) {
        match frame {
            Identity::Number(number) => {
                let leaf = self.numbers.entry(number / LEAF);
                let leaf = leaf.or_insert_with(|| Box::new([0; LEAF as usize]));
                leaf[(number % LEAF) as usize] = index + 1;
            }
            Identity::FilePage(file, page) => {
                self.file_pages.insert((file, page), index);
            }
            Identity::None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_known_again() {
        let mut known = Known::default();
        let all = [
            Identity::Number(0),
            Identity::Number(511),
            Identity::Number(512),
            Identity::Number(1 << 40),
            Identity::FilePage(1, 2),
            Identity::FilePage(2, 1),
        ];
        for (index, identity) in all.into_iter().enumerate() {
            assert_eq!(known.get(identity), None);
            known.insert(identity, index as u64);
        }
        for (index, identity) in all.into_iter().enumerate() {
            assert_eq!(known.get(identity), Some(index as u64));
        }
        known.insert(Identity::None, 7);
        assert_eq!(known.get(Identity::None), None);
    }
}

//! What pages hold, by whatever means it is read.

use crate::hash::{Hasher, PageHash};

/// A page whose contents are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its frame number, where the kernel tells it.
    pub number: Option<u64>,
    /// Where it is in the process that is scanned; of no meaning where there is none.
    pub address: u64,
}

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Something of this hash.
    Hash(PageHash),
    /// Zeros only.
    Zero,
    /// It could not be read.
    Unread,
}

impl Content {
    /// That of a page that was read.
    pub fn of(page: &[u8], hasher: &Hasher) -> Self {
        // Most pages differ from zeros at their beginning; for those that do not, many bytes at once are looked at.
        let (lines, rest) = page.as_chunks::<64>();
        let is_zero = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte) == 0;
        if lines.iter().all(|line| is_zero(line)) && is_zero(rest) {
            Self::Zero
        } else {
            Self::Hash(hasher.hash(page))
        }
    }
}

/// A way to read pages. Neither absent nor swapped ones are asked for.
pub trait Contents {
    /// What pages hold, in their order, ascending by address or by frame number.
    fn of(&self, wanted: &[Wanted], hasher: &Hasher) -> Vec<Content>;
}

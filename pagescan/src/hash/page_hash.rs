//! The result.

use serde::{Deserialize, Serialize};

/// What a page holds: equal for equal pages, and for others but by chance.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct PageHash(pub [u8; 16]);

impl PageHash {
    /// Of an algorithm's result: a shorter one is filled up with zeros, of a longer one the first 16 bytes are taken.
    pub fn of_result(result: &[u8]) -> Self {
        let mut hash = [0; 16];
        let len = result.len().min(hash.len());
        hash[..len].copy_from_slice(&result[..len]);
        Self(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_filled_up_or_cut() {
        assert_eq!(
            PageHash::of_result(&[1, 2, 3, 4]).0,
            *b"\x01\x02\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0"
        );
        let long: Vec<u8> = (0..20).collect();
        assert_eq!(PageHash::of_result(&long).0[..], long[..16]);
    }
}

//! Frames by the thousand, each property a column of its own: what is alike lies side by side, and takes no room when it is
//! compressed.

use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use crate::hash::PageHash;

/// Frames whose indexes follow those of the block before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameBlock {
    /// Attributes that no block before has used: they get the next numbers.
    pub attributes: Vec<Attributes>,
    /// Of each frame, the number of its attributes.
    pub kinds: Vec<u32>,
    /// Of each frame, its frame number less that of the frame behind the one before; none at all if the kernel does not tell them.
    pub numbers: Vec<i64>,
    /// Of each frame that was read and is not zero, its hash.
    #[serde(with = "serde_bytes")]
    pub hashes: Vec<u8>,
}

impl FrameBlock {
    /// The hashes.
    pub fn page_hashes(&self) -> impl Iterator<Item = PageHash> {
        self.hashes.as_chunks::<16>().0.iter().map(|hash| PageHash(*hash))
    }
}

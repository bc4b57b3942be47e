//! What a page holds, in 16 bytes: which ways there are to compute it, those of the paper among them, and the result.

mod algorithm;
mod crc32_ex;
mod hasher;
mod key;
mod page_hash;
mod simple_pattern;
mod super_fast_hash;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use hasher::Hasher;
pub use key::key;
pub use page_hash::PageHash;

//! A chunk's name: what it is known by everywhere.

use std::fmt;

use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// SHA-256 of a chunk's bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct ChunkName(pub [u8; 32]);

impl ChunkName {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ChunkName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The name of a blob of a store.
pub type BlobName = [u8; 32];

/// A blob's name as text.
pub fn hex(name: &BlobName) -> String {
    ChunkName(*name).to_string()
}

/// The name of a blob as [`statify_store`] has it, in bytes; `None` if it is none.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut name = [0; 32];
    if !statify_store::storage::is_name(text) {
        return None;
    }
    for (byte, digits) in name.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hexadecimal() {
        let name = ChunkName::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(name.to_string(), text);
        assert_eq!(from_hex(text), Some(name.0));
        assert_eq!(from_hex("ba"), None);
    }
}

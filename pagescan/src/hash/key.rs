//! Keys for hashes.

/// A key out of bytes that nobody can guess, however many they are.
pub fn key(secret: &[u8]) -> [u8; 32] {
    blake3::derive_key("pagescan 1 key", secret)
}

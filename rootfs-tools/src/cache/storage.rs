//! What a cache asks of the place where it lies.

use std::fmt::Debug;
use std::io;

/// Keeps entries by key and name, and recipes of outputs by name. What is kept appears whole or not at all, under
/// names of 64 hexadecimal digits, so that any number of runs may use the place at the same time.
pub trait Storage: Debug + Send + Sync {
    /// The names of a key's entries: at most `most`.
    fn entries(&self, key: &str, most: usize) -> io::Result<Vec<String>>;

    /// An entry, up to `most` bytes of it.
    fn entry(&self, key: &str, name: &str, most: u64) -> io::Result<Vec<u8>>;

    /// A recipe that should have `size` bytes. It may be another.
    fn recipe(&self, name: &str, size: u64) -> io::Result<Vec<u8>>;

    /// Whether there is a recipe of this size.
    fn has_recipe(&self, name: &str, size: u64) -> io::Result<bool>;

    /// Keeps a recipe, in the place of one that may be there.
    fn keep_recipe(&self, name: &str, recipe: &[u8]) -> io::Result<()>;

    /// Keeps an entry.
    fn keep_entry(&self, key: &str, name: &str, entry: &[u8]) -> io::Result<()>;

    /// What went wrong with the place itself, in a sentence.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Whether it can be the name of something that is kept.
pub fn is_name(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

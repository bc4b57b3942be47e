//! Why a store cannot be used, each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory that is no place for a store.
    #[error("{path}: it cannot be used as a {noun}: {source}, and {stake}", path = .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// As [`crate::Purpose::noun`].
        noun: &'static str,
        /// As [`crate::Purpose::stake`].
        stake: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A place in an object store, as the user calls it, that cannot be used for what the noun says, and why.
    #[error("{0}: it cannot be used as a {1}: {2}")]
    Unusable(String, &'static str, String),
    /// A file with a secret that cannot be read.
    #[error("{path}: it cannot be read: {source}", path = .0.display(), source = .1)]
    SecretFile(PathBuf, #[source] io::Error),
    /// A file that is not fit to hold the key of what the noun says, and why.
    #[error("{path}: it cannot be the {noun}'s key: {why}", path = .0.display(), noun = .1, why = .2)]
    Key(PathBuf, &'static str, &'static str),
    /// No bucket has this name.
    #[error("no bucket can be called {0:?}")]
    Bucket(String),
    /// No names of objects begin so.
    #[error("{0:?} is no prefix: letters, digits, '-', '_', '.' and slashes between them are")]
    Prefix(String),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

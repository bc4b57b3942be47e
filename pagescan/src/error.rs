//! What can go wrong, each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

use crate::kernel::Lack;
use crate::snapshot::Damage;

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A snapshot cannot be used. Which, and why.
    #[error("{path}: {1}", path = statify_printable::path(.0))]
    Snapshot(PathBuf, #[source] Damage),
    /// A file has not so many snapshots. Which, what was asked for, and how many it has.
    #[error("{path}: there is no snapshot {1}: it has {2}, counted from 1", path = statify_printable::path(.0))]
    NoSuchSnapshot(PathBuf, usize, usize),
    /// Snapshots cannot be held against one another. Two of them, and why.
    #[error("{path} and {other}: {2}", path = statify_printable::path(.0), other = statify_printable::path(.1))]
    Incomparable(PathBuf, PathBuf, &'static str),
    /// Snapshots have more frames than can be classified at once.
    #[error("these are more than {max} frames; classify fewer snapshots at once, or many of them by SQL (pagescan export)", max = u32::MAX - 1)]
    TooMany,
    /// What was to be written could not be.
    #[error("{path}: it cannot be written: {source}", path = statify_printable::path(.0), source = .1)]
    Output(PathBuf, #[source] io::Error),
    /// The snapshot cannot be written.
    #[error("the snapshot cannot be written: {0}")]
    Write(#[source] io::Error),
    /// A process that is not there, or may not be looked at. Its number, and why.
    #[error("process {0}: {1}")]
    Process(u32, String),
    /// What is asked for takes means that are not there. Which, in a sentence.
    #[error("{0}")]
    Means(String),
    /// Something is asked for that can be had by frame only, and that cannot be done here. Why.
    #[error(transparent)]
    Frames(#[from] Lack),
    /// A file of the kernel cannot be read. Which, and why.
    #[error("{path}: it cannot be read: {source}", path = statify_printable::path(.0), source = .1)]
    Kernel(PathBuf, #[source] io::Error),
    /// Somebody wanted it to end.
    #[error("it was interrupted")]
    Interrupted,
}

/// What may go wrong.
pub type Result<T> = std::result::Result<T, Error>;

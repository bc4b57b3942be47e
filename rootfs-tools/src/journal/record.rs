//! The records of a journal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use statify::manifest::FileKind;

use crate::path_text;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A run begins; what follows is its own.
    Begin(Begin),
    /// The times of a directory in which names will be replaced.
    Directory(Directory),
    /// The names of one file are about to be replaced; the original is kept.
    Replace(Replacement),
    /// They all have been.
    Replaced {
        /// As in [`Replacement::id`].
        id: u64,
    },
    /// A program could not be converted and stays as it is.
    Failed(Failed),
    /// A run has come to its end.
    End(End),
    /// The original has all its names again.
    Restored {
        /// As in [`Replacement::id`].
        id: u64,
    },
}

/// How a run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The version of rootfs-tools.
    pub version: String,
    /// `--fixed`.
    pub fixed: bool,
    /// `--align`, in bytes.
    pub align: u64,
    /// `--preserve-privileges`.
    pub preserve_privileges: bool,
    /// The tree that this one is a copy of (`--out`): it holds the originals.
    #[serde(with = "path_text::option")]
    pub source: Option<PathBuf>,
    /// The directory that holds the originals (`--backup`).
    #[serde(with = "path_text::option")]
    pub backup: Option<PathBuf>,
    /// The whole tree before.
    pub image: Size,
}

/// What files take up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Files, a file with several names counting once.
    pub files: u64,
    /// The sum of their sizes, in bytes.
    pub apparent: u64,
    /// The sum of the blocks that the file system counts for them, in bytes; what a reflink shares
    /// counts for each.
    pub allocated: u64,
}

/// A directory as it was before the first run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// From ROOT on.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// Time of the last access, seconds and nanoseconds.
    pub accessed: (i64, i64),
    /// Time of the last modification.
    pub modified: (i64, i64),
}

/// A file that gives way to its converted form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// One of its own in each journal.
    pub id: u64,
    /// All its names, from ROOT on.
    #[serde(with = "path_text::list")]
    pub names: Vec<PathBuf>,
    /// As it was.
    pub original: Original,
    /// What it is replaced by.
    pub converted: Converted,
    /// Where the original is kept: in the backup directory, or in the tree that this one is a copy
    /// of; none where it is not kept.
    #[serde(with = "path_text::option")]
    pub kept: Option<PathBuf>,
}

/// A program as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// In bytes.
    pub size: u64,
    /// What the file system counts for it, in bytes.
    pub allocated: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// A converted program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converted {
    /// In bytes.
    pub size: u64,
    /// What the file system counts for it, in bytes.
    pub allocated: u64,
    /// The build-id, a hash of all that is loaded, in hexadecimal.
    pub build_id: String,
    /// How much of it is in blocks that it shares with what is embedded ([`crate::reflink`]), in
    /// bytes; journals of before know nothing of it.
    #[serde(default)]
    pub shared: u64,
    /// It came from the cache.
    pub cached: bool,
    /// What is embedded.
    pub files: Vec<Embedded>,
}

/// A file in a converted program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// Where it was, as the manifest says it.
    pub path: String,
    /// What it is for.
    pub kind: FileKind,
    /// How much of it is in the file, in bytes.
    pub stored: u64,
}

/// A program that was not converted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Its names, from ROOT on.
    #[serde(with = "path_text::list")]
    pub names: Vec<PathBuf>,
    /// The kind of reason.
    pub reason: String,
    /// The sentence.
    pub message: String,
}

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Seconds it took.
    pub seconds: u64,
    /// What was found in the directories and stays, by kind.
    pub left: std::collections::BTreeMap<String, u64>,
}

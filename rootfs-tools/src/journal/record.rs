//! The records of a journal.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use statify_files::{beneath, path_text};
use statify_format::manifest::FileKind;

use crate::error::reason::Reason;
use crate::tree::run_id::RunId;

/// Numbers of replacements are smaller, so that there is always a next one.
const MOST_ID: u64 = 1 << 62;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A run begins; what follows is its own.
    Begin(Begin),
    /// The times of a directory in which names will be replaced.
    Directory(Directory),
    /// The tree is about to have a pool (`--pool`).
    Pool(Pool),
    /// A file is about to get its name in the pool, in which there is none of that name.
    Pooled(Pooled),
    /// The names of one file are about to be replaced; the original is kept.
    Replace(Replacement),
    /// All names of a replacement have been replaced.
    Replaced {
        /// As in [`Replacement::id`].
        id: u64,
    },
    /// A program could not be converted and stays as it is.
    Failed(Failure),
    /// A run has come to its end.
    End(End),
    /// The original has all its names again.
    Restored {
        /// As in [`Replacement::id`].
        id: u64,
    },
}

impl Record {
    /// Whether a run can have written it: paths lead nowhere but down.
    pub(crate) fn makes_sense(&self) -> bool {
        match self {
            Self::Begin(begin) => begin.makes_sense(),
            Self::Directory(directory) => is_absolute(&directory.path),
            Self::Pool(pool) => pool.makes_sense(),
            Self::Pooled(pooled) => pooled.makes_sense(),
            Self::Replace(replacement) => replacement.makes_sense(),
            Self::Failed(failure) => are_names(&failure.names),
            Self::Replaced { id } | Self::Restored { id } => *id < MOST_ID,
            Self::End(_) => true,
        }
    }
}

/// A path from / or ROOT on, without `..`.
fn is_absolute(path: &Path) -> bool {
    path.strip_prefix("/").is_ok_and(beneath::is_plain)
}

fn are_names(names: &[PathBuf]) -> bool {
    let is_name = |path: &PathBuf| is_absolute(path) && path.file_name().is_some();
    !names.is_empty() && names.iter().all(is_name)
}

/// How a run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The run's own number, by which the journal outside of the tree is known to belong to this one.
    pub id: RunId,
    /// The version of rootfs-tools.
    pub version: String,
    /// `--fixed`.
    pub fixed: bool,
    /// `--align`, in bytes.
    pub align: u64,
    /// `--preserve-privileges`.
    pub preserve_privileges: bool,
    /// Where the tree was.
    #[serde(with = "path_text")]
    pub tree: PathBuf,
    /// The tree that this one is a copy of (`--out`): it holds the originals.
    #[serde(with = "path_text::option")]
    pub source: Option<PathBuf>,
    /// The directory that holds the originals (`--backup`).
    #[serde(with = "path_text::option")]
    pub backup: Option<PathBuf>,
    /// The whole tree before.
    pub image: Size,
}

impl Begin {
    fn makes_sense(&self) -> bool {
        let mut paths = [&self.source, &self.backup].into_iter().flatten().chain([&self.tree]);
        paths.all(|path| is_absolute(path))
    }
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

/// The pool of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// From ROOT on, without links.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// Directories that were not there and are made for it: itself, and such that lead to it.
    #[serde(with = "path_text::list")]
    pub made: Vec<PathBuf>,
}

impl Pool {
    fn makes_sense(&self) -> bool {
        self.made
            .iter()
            .chain([&self.path])
            .all(|path| is_absolute(path) && path.file_name().is_some())
    }
}

/// A file of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pooled {
    /// From ROOT on; its name is its SHA-256.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
}

impl Pooled {
    fn makes_sense(&self) -> bool {
        let name = self.path.file_name().and_then(std::ffi::OsStr::to_str);
        is_absolute(&self.path) && name.is_some_and(is_pooled_name)
    }
}

/// Whether a file of a pool can have this name: a SHA-256, in hexadecimal.
pub(crate) fn is_pooled_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A file that gives way to its converted form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// One of its own in each journal.
    pub id: u64,
    /// All its names, from ROOT on.
    #[serde(with = "path_text::list")]
    pub names: Vec<PathBuf>,
    /// The program as it was.
    pub original: Original,
    /// What it is replaced by.
    pub converted: Converted,
    /// Where the original is kept: in the backup directory, or in the tree that this one is a copy
    /// of; none where it is not kept.
    #[serde(with = "path_text::option")]
    pub kept: Option<PathBuf>,
}

impl Replacement {
    fn makes_sense(&self) -> bool {
        let is_kept = |path: &PathBuf| {
            is_absolute(path) || (beneath::is_plain(path) && path.file_name().is_some())
        };
        self.id < MOST_ID && are_names(&self.names) && self.kept.as_ref().is_none_or(is_kept)
    }
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
    /// How much of it is in blocks that it shares with what is embedded ([`crate::run::donor`]), in
    /// bytes; journals of before know nothing of it.
    #[serde(default)]
    pub shared: u64,
    /// The conversion came from the cache.
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
    /// The converted program maps pages of it from the pool: what it is called there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled: Option<String>,
}

/// A program that was not converted, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its names, from ROOT on.
    #[serde(with = "path_text::list")]
    pub names: Vec<PathBuf>,
    /// The kind of reason.
    pub reason: String,
    /// The sentence.
    pub message: String,
}

impl Failure {
    /// The failure of the program with these names, from ROOT on.
    pub(crate) fn new(names: Vec<PathBuf>, reason: Reason) -> Self {
        let Reason { kind, message } = reason;
        Self { names, reason: kind.into(), message }
    }
}

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Seconds it took.
    pub seconds: u64,
    /// What was found in the directories and stays, by kind.
    pub left: std::collections::BTreeMap<String, u64>,
    /// Of that, programs for machines whose programs are not converted there, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<Failure>,
}

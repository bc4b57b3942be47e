//! What is asked of a run.

use std::path::PathBuf;
use std::time::Duration;

use globset::GlobSet;
use statify_format::Shape;

use super::reflink::Reflink;
use crate::cache;

/// Where the converted programs go, and the originals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into a copy of the tree.
    Out(PathBuf),
    /// In the originals' place; these are kept in a directory, or not at all.
    InPlace(Option<PathBuf>),
}

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tree.
    pub root: PathBuf,
    /// Where to.
    pub target: Target,
    /// Directories with programs, from ROOT on.
    pub dirs: Vec<PathBuf>,
    /// Paths that stay as they are.
    pub exclude: GlobSet,
    /// How many conversions at a time.
    pub jobs: usize,
    /// What the outputs are to be like.
    pub shape: Shape,
    /// As [`statify::Options::preserve_privileges`].
    pub preserve_privileges: bool,
    /// As [`statify::Options::timeout`].
    pub timeout: Duration,
    /// As [`statify::Options::memory`].
    pub memory: u64,
    /// Where conversions are kept for later runs.
    pub cache: Option<cache::Options>,
    /// Where converted programs look for libraries that many have in common: a path from ROOT on.
    pub pool: Option<PathBuf>,
    /// Whether programs share blocks with the libraries in them.
    pub reflink: Reflink,
    /// The running system's own root is meant.
    pub i_know: bool,
}

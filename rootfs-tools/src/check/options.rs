//! What is asked of a check.

use std::path::PathBuf;
use std::time::Duration;

use globset::GlobSet;

/// Which programs of a tree are checked, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tree.
    pub root: PathBuf,
    /// The tree, or the backup directory, that has the originals now, if not what the journal says.
    pub original: Option<PathBuf>,
    /// Where converted programs are, in a tree without a journal.
    pub dirs: Vec<PathBuf>,
    /// Programs that are checked; all where there is none.
    pub only: GlobSet,
    /// Programs that are not.
    pub exclude: GlobSet,
    /// How many at a time.
    pub jobs: usize,
    /// Whether they are run and compared.
    pub runs: bool,
    /// How long one run may take.
    pub timeout: Duration,
    /// How much address space a process may have, in bytes.
    pub memory: u64,
}

//! One run at a time on a tree: flock(2) on its directory, which leaves nothing behind and ends with
//! the process, however that ends.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use statify_files::beneath;

use super::opened::Tree;
use crate::error::{Error, Result};

/// How long a lock is waited for: traced processes of a run that was killed die a moment after it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A tree that is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held")] File);

impl Lock {
    /// To change the tree: nobody else may even read it meanwhile.
    pub(crate) fn exclusive(tree: &Tree) -> Result<Self> {
        Self::of(tree.top()?.file(), &tree.path)
    }

    /// To read it: nobody may change it meanwhile.
    pub fn shared(tree: &Tree) -> Result<Self> {
        Self::take(tree.top()?.file(), &tree.path, FlockOperation::NonBlockingLockShared)
    }

    /// To change what is in another directory, which is shown as `path`.
    pub fn of(dir: &File, path: &Path) -> Result<Self> {
        Self::take(dir, path, FlockOperation::NonBlockingLockExclusive)
    }

    fn take(dir: &File, path: &Path, operation: FlockOperation) -> Result<Self> {
        // Opened anew: a lock belongs to what was opened, and lives as long.
        let file = beneath::directory(dir, Path::new("")).map_err(Error::file("opened", path))?;
        let since = Instant::now();
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK) if since.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(Errno::WOULDBLOCK) => return Err(Error::Locked(path.to_owned())),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::file("locked", path)(errno.into())),
            }
        }
    }
}

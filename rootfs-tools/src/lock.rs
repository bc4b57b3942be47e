//! One run at a time on a tree: flock(2) on its directory, which leaves nothing behind and ends with
//! the process, however that ends.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// How long a lock is waited for: traced processes of a run that was killed die a moment after it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A tree that is ours as long as this lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held")] File);

impl Lock {
    /// To change the tree: nobody else may even read it meanwhile.
    pub fn exclusive(dir: &Path) -> Result<Self> {
        Self::take(dir, FlockOperation::NonBlockingLockExclusive)
    }

    /// To read it: nobody may change it meanwhile.
    pub fn shared(dir: &Path) -> Result<Self> {
        Self::take(dir, FlockOperation::NonBlockingLockShared)
    }

    fn take(dir: &Path, operation: FlockOperation) -> Result<Self> {
        let file = File::open(dir).map_err(Error::file("opened", dir))?;
        let since = Instant::now();
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK) if since.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(Errno::WOULDBLOCK) => return Err(Error::Locked(dir.to_owned())),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::file("locked", dir)(errno.into())),
            }
        }
    }
}

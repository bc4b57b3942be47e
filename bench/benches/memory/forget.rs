//! Files that are read anew: one that was just written is in memory in larger pieces, of which more is mapped at once.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Takes a file out of the page cache.
pub fn forget(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.sync_all()?;
    // SAFETY: an open descriptor and three numbers.
    let failed = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    ensure!(failed == 0, "posix_fadvise: {}", io::Error::from_raw_os_error(failed));
    Ok(())
}

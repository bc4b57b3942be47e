//! What a program does about its files before a signal ends it: nothing half-written stays. Traced processes need no
//! care: they are killed with their tracer (PTRACE_O_EXITKILL).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static PENDING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes the files that are being written. For programs that are about to end: whoever begins another one from now
/// on waits for that.
pub fn give_up() {
    let pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    for path in &*pending {
        let _ = std::fs::remove_file(path);
    }
    std::mem::forget(pending);
}

/// Makes a file that is not complete yet, and remembers it.
pub(crate) fn create<T>(
    make: impl FnOnce() -> std::io::Result<(T, PathBuf)>,
) -> std::io::Result<T> {
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    let (file, path) = make()?;
    pending.insert(path);
    Ok(file)
}

/// Runs `rename`, after which the file has its name, or is gone.
pub(crate) fn publish<T>(path: &Path, rename: impl FnOnce() -> T) -> T {
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    let result = rename();
    pending.remove(path);
    result
}

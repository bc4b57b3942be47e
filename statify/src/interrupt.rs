//! Ctrl-C and its like: a sentence, and nothing half-written stays. Traced processes need no care:
//! they are killed with their tracer (PTRACE_O_EXITKILL).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{SigHandler, Signal, signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU};
use signal_hook::iterator::Signals;

static PENDING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// From now on, a signal that would end the process removes the file that is being written, and
/// calls `end`. For programs; a library's caller decides about signals itself.
pub fn clean_up_on_signals(end: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    // A file that gets too large is an error of write(2) then.
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn)? };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            // Held until the end, so that nothing new is begun.
            let pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
            for path in &*pending {
                let _ = std::fs::remove_file(path);
            }
            end();
        }
    });
    Ok(())
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

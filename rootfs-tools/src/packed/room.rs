//! A private directory beside the output, for all that is not complete, with the tree that is
//! unpacked. It goes away with its owner, at Ctrl-C, or with the next run that makes the same output.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use statify_files::beneath;
use statify_files::trusted::{self, Way};

use crate::error::{Error, Result};
use crate::tree::lock::Lock;
use crate::tree::partial::Partial;

/// What is to be removed if the process is ended, and whether the output has its name.
static CURRENT: Mutex<Option<(Partial, bool)>> = Mutex::new(None);

/// What the output is called in it.
const NEW: &str = "new";

/// The directory, as long as this lives.
#[derive(Debug)]
pub struct Room {
    /// The directory, whatever has its name meanwhile.
    pub path: PathBuf,
    /// The output.
    pub out: PathBuf,
    partial: Partial,
    /// Nobody else makes the same.
    _lock: Lock,
}

impl Room {
    /// Makes it for the output `out`, which must not be there yet, nor lie in `root`.
    pub fn make(out: &Path, root: &Path) -> Result<Self> {
        let entry = trusted::parent(out, Way::Any).map_err(|error| match error.raw_os_error() {
            Some(libc::EISDIR) => Error::Exists(out.to_owned()),
            _ => Error::file("found", out)(error),
        })?;
        let out = entry.parent.path.join(&entry.name);
        if beneath::at(&entry.parent.dir, &entry.name).symlink_metadata().is_ok() {
            return Err(Error::Exists(out));
        }
        let root = root.canonicalize().map_err(Error::file("found", root))?;
        if out.starts_with(&root) {
            return Err(Error::Nested(out, root));
        }
        let (partial, lock) = Partial::begin(&entry)?;
        let current = partial.try_clone().map_err(Error::file("written", &partial.path))?;
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some((current, false));
        let room = Self { path: beneath::link(&partial.dir), out, partial, _lock: lock };
        let tree = room.tree();
        DirBuilder::new().mode(0o755).create(&tree).map_err(Error::file("written", &room.out))?;
        Ok(room)
    }

    /// The directory for the unpacked tree.
    pub fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// Where the output is made.
    pub fn output(&self) -> PathBuf {
        self.path.join(NEW)
    }

    /// Gives what is made its name, once it is on the disk.
    pub(crate) fn publish(&self) -> Result<()> {
        let failed = |source| Error::File { path: self.out.clone(), what: "written", source };
        let file = File::open(self.output()).map_err(failed)?;
        let is_dir = file.metadata().map_err(failed)?.is_dir();
        let synced = if is_dir {
            rustix::fs::syncfs(&file).map_err(io::Error::from)
        } else {
            file.sync_all()
        };
        synced.map_err(failed)?;
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.out.file_name().unwrap_or_default();
        match self.partial.publish_inner(OsStr::new(NEW), name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists(self.out.clone()));
            }
            other => other.map_err(failed)?,
        }
        if let Some((_, is_published)) = &mut *current {
            *is_published = true;
        }
        drop(current);
        self.partial.sync_parent().map_err(failed)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.partial.remove();
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// For a process that is being ended: removes the room, if there is one. Returns whether that was all
/// that had been written.
pub fn abandon() -> bool {
    // Held until the end, so that the output does not get its name meanwhile.
    let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((partial, is_published)) = &*current else {
        return false;
    };
    // Other threads still write.
    for _ in 0..100 {
        match partial.remove() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => break,
        }
    }
    let all = !is_published;
    std::mem::forget(current);
    all
}

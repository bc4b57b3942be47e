//! A private directory beside the output, for all that is not complete, with the tree that is
//! unpacked. It goes away with its owner, at Ctrl-C, or with the next run that makes the same output.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::{copy_tree, journal};

/// What is to be removed if the process is ended, and whether the output has its name.
static CURRENT: Mutex<Option<(PathBuf, bool)>> = Mutex::new(None);

/// It.
#[derive(Debug)]
pub struct Room {
    /// The directory.
    pub path: PathBuf,
    /// The output.
    pub out: PathBuf,
    /// Nobody else makes the same.
    _lock: Lock,
}

impl Room {
    /// Makes it for the output `out`, which must not be there yet, nor lie in `root`.
    pub fn make(out: &Path, root: &Path) -> Result<Self> {
        let absolute = std::path::absolute(out).map_err(Error::file("found", out))?;
        let parent = absolute.parent().unwrap_or(Path::new("/"));
        let parent = parent.canonicalize().map_err(Error::file("found", parent))?;
        let name = absolute.file_name().ok_or_else(|| Error::Exists(out.to_owned()))?;
        let out = parent.join(name);
        if out.symlink_metadata().is_ok() {
            return Err(Error::Exists(out));
        }
        let root = root.canonicalize().map_err(Error::file("found", root))?;
        if out.starts_with(&root) {
            return Err(Error::Nested(out, root));
        }
        let (path, lock) = copy_tree::begin_partial(&out)?;
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.clone(), false));
        let room = Self { path, out, _lock: lock };
        let tree = room.tree();
        DirBuilder::new().mode(0o755).create(&tree).map_err(Error::file("written", &tree))?;
        Ok(room)
    }

    /// The directory for the unpacked tree.
    pub fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// Where the output is made.
    pub fn output(&self) -> PathBuf {
        self.path.join("new")
    }

    /// Gives what is made its name, once it is on the disk.
    pub fn publish(&self) -> Result<()> {
        let failed = |source| Error::File { path: self.out.clone(), what: "written", source };
        let new = self.output();
        let file = File::open(&new).map_err(failed)?;
        let is_dir = file.metadata().map_err(failed)?.is_dir();
        let synced = if is_dir {
            rustix::fs::syncfs(&file).map_err(io::Error::from)
        } else {
            file.sync_all()
        };
        synced.map_err(failed)?;
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        match rustix::fs::renameat_with(CWD, &new, CWD, &self.out, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => return Err(Error::Exists(self.out.clone())),
            // The file system does not know how to.
            Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(&new, &self.out).map_err(failed)?,
            other => other.map_err(|errno| failed(errno.into()))?,
        }
        if let Some((_, is_published)) = &mut *current {
            *is_published = true;
        }
        drop(current);
        let parent = self.out.parent().unwrap_or(Path::new("/"));
        journal::sync_directory(parent).map_err(failed)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// For a process that is being ended: removes the room, if there is one. Returns whether that was all
/// that had been written.
pub fn abandon() -> bool {
    // Held until the end, so that the output does not get its name meanwhile.
    let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((path, is_published)) = &*current else {
        return false;
    };
    // Other threads still write.
    for _ in 0..100 {
        match std::fs::remove_dir_all(path) {
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

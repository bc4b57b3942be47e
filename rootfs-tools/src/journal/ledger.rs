//! The journals outside of a tree: in the backup directory, or beside a copy. Each says which runs it is of,
//! which files are kept, and the hash of each; it is written before the tree's own journal is, and lies where
//! only root and the user of this tool can write.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};

use statify_files::beneath;
use statify_files::trusted::{self, Place};

use super::file::{self, Journal};
use super::record::Record;
use crate::error::{Error, Result};

/// The directory in a backup that holds its journal, and copies that are not complete.
pub(crate) const STATE: &str = ".rootfs-tools-backup";
/// The journal's name in it.
pub const NAME: &str = "journal";

/// What a journal outside of a tree is called that was copied to `out`, in the directory of that.
fn beside(name: &OsStr) -> OsString {
    let mut file = OsString::from(".");
    file.push(name);
    file.push(".rootfs-tools-journal");
    file
}

/// Begins the journal beside a copy `name`, in its directory, in the place of an older copy's.
pub(crate) fn begin_beside(parent: &Place, name: &OsStr) -> Result<Journal> {
    let file = beside(name);
    let path = parent.path.join(&file);
    match beneath::remove_file(&parent.dir, &file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        other => other.map_err(Error::file("removed", &path))?,
    }
    Ok(Journal::open_in(&parent.dir, &file, &path)?.0)
}

/// Reads the journal beside a copy, which must be one's own.
pub(crate) fn read_beside(parent: &Place, name: &OsStr) -> Result<Vec<Record>> {
    let file = beside(name);
    let path = parent.path.join(&file);
    is_own(&parent.dir, &file).map_err(Error::file("believed", &path))?;
    Ok(file::read_in(&parent.dir, &file, &path)?.unwrap_or_default())
}

/// Opens the journal beside a copy, for another run on that.
pub(crate) fn open_beside(parent: &Place, name: &OsStr) -> Result<Journal> {
    let file = beside(name);
    let path = parent.path.join(&file);
    is_own(&parent.dir, &file).map_err(Error::file("believed", &path))?;
    Ok(Journal::open_in(&parent.dir, &file, &path)?.0)
}

/// Removes the journal beside a copy.
pub(crate) fn remove_beside(parent: &Place, name: &OsStr) -> Result<()> {
    let file = beside(name);
    match beneath::remove_file(&parent.dir, &file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::file("removed", &parent.path.join(file))),
    }
}

/// A file that nobody else can have written, if there is one.
fn is_own(dir: &File, name: &OsStr) -> std::io::Result<()> {
    let file = match beneath::file(dir, Path::new(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let stat = file.metadata()?;
    if trusted::is_ours(&stat) && !trusted::others_write(&stat) {
        return Ok(());
    }
    Err(std::io::Error::other("others than you may write to it"))
}

/// Where a backup's own journal is shown to be.
pub(crate) fn path_in(backup: &Path) -> PathBuf {
    backup.join(STATE).join(NAME)
}

/// Reads the journal of a backup directory, if it has one.
pub(crate) fn read_backup(place: &Place) -> Result<Option<Vec<Record>>> {
    let path = path_in(&place.path);
    match beneath::directory(&place.dir, Path::new(STATE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => {
            let state = other.map_err(Error::file("read", &path))?;
            file::read_in(&state, OsStr::new(NAME), &path)
        }
    }
}

/// Whether this is a name that a backup gives.
pub(crate) fn is_kept_name(path: &Path) -> bool {
    let mut parts = path.components();
    beneath::is_plain(path) && parts.next().is_some_and(|first| first.as_os_str() != STATE)
}

//! A tree that is opened once, and the names in it.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statify_room::Root;
use statify_room::mounts::{self, Mount};

use super::directory::Directory;
use crate::error::{Error, Result};

/// The directory in a tree that holds its journal.
pub(crate) const STATE: &str = ".rootfs-tools";
/// The journal's name in it.
pub(crate) const JOURNAL: &str = "journal";

/// A tree.
#[derive(Debug)]
pub struct Tree {
    /// Where paths of it are found.
    pub root: Root,
    /// Its directory, without symbolic links.
    pub path: PathBuf,
}

/// A name of a file.
#[derive(Clone, Debug)]
pub struct Name {
    /// Where it stands.
    pub directory: Arc<Directory>,
    /// The last component.
    pub file: OsString,
}

/// Which file a name stands for.
pub type FileId = (u64, u64);

impl Tree {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self> {
        let root = Root::open(path)?;
        let path = root.directory().map_or(path, |(_, path)| path).to_owned();
        Ok(Self { root, path })
    }

    /// Opens a directory, a path from ROOT on.
    pub fn directory(&self, path: &Path) -> io::Result<Directory> {
        let found = self.root.find(path)?;
        let inside = found.path()?;
        // Opening something else might wait for it.
        if !found.link().metadata()?.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        Ok(Directory::new(inside, std::fs::File::open(found.link())?))
    }

    /// Its own directory.
    pub(crate) fn top(&self) -> Result<Directory> {
        self.directory(Path::new("/")).map_err(Error::file("opened", &self.path))
    }

    /// A name, a path from ROOT on whose last component is not followed.
    pub fn name(&self, path: &Path) -> io::Result<Name> {
        let file = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let parent = path.parent().unwrap_or(Path::new("/"));
        Ok(Name { directory: Arc::new(self.directory(parent)?), file })
    }

    /// A name, a path from ROOT on whose last component is not followed; `None` if its directory is not there.
    pub(crate) fn name_if_there(&self, path: &Path) -> io::Result<Option<Name>> {
        if_there(self.name(path))
    }

    /// What is mounted inside it.
    pub fn mounts(&self) -> Result<Vec<Mount>> {
        let table = Path::new("/proc/self/mountinfo");
        let bytes = std::fs::read(table).map_err(Error::file("read", table))?;
        Ok(mounts::below(&bytes, &self.path))
    }
}

impl Name {
    /// For std's functions.
    pub fn at(&self) -> PathBuf {
        self.directory.at(&self.file)
    }

    /// From ROOT on.
    pub fn path(&self) -> PathBuf {
        self.directory.path.join(&self.file)
    }
}

/// Which file it is.
pub fn id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// What was opened; `None` if it, or a directory on the way, is not there.
pub(crate) fn if_there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

//! The tree that is worked on, and its directories, opened once: a name is looked up in its directory's
//! descriptor, so that no link on the way leads elsewhere, whatever happens meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statify::Root;
use statify::mounts::{self, Mount};

use crate::error::{Error, Result};
use crate::journal::STATE;

/// The directory, beside the programs, for what does not have its name yet.
pub const WORK: &str = ".rootfs-tools-work";

/// A tree.
#[derive(Debug)]
pub struct Tree {
    /// Where paths of it are found.
    pub root: Root,
    /// Its directory, without symbolic links.
    pub path: PathBuf,
}

/// A directory of a tree.
#[derive(Debug)]
pub struct Directory {
    /// From ROOT on, without symbolic links.
    pub path: PathBuf,
    file: File,
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
        Ok(Directory { path: inside, file: File::open(found.link())? })
    }

    /// A name, a path from ROOT on whose last component is not followed.
    pub fn name(&self, path: &Path) -> io::Result<Name> {
        let file = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let parent = path.parent().unwrap_or(Path::new("/"));
        Ok(Name { directory: Arc::new(self.directory(parent)?), file })
    }

    /// What is mounted inside it.
    pub fn mounts(&self) -> Result<Vec<Mount>> {
        let table = Path::new("/proc/self/mountinfo");
        let bytes = std::fs::read(table).map_err(Error::file("read", table))?;
        Ok(mounts::below(&bytes, &self.path))
    }
}

impl Directory {
    /// A path to `name` in this very directory, for std's functions.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        path.push(name);
        path
    }

    /// The opened directory.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes names in it last.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Makes the place for what does not have its name yet.
    pub fn make_work(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().mode(0o700).create(self.at(WORK))
    }

    /// Removes that place, and what an ended run left in it.
    pub fn remove_work(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.at(WORK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// A path of a file in that place.
    pub fn work(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.at(WORK).join(name.as_ref())
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

/// Everything in the tree, directories before what is in them: but for what is mounted there of the
/// running system, and this tool's own.
pub fn walk(tree: &Tree) -> Result<impl Iterator<Item = walkdir::Result<walkdir::DirEntry>>> {
    let hidden: Vec<PathBuf> = tree
        .mounts()?
        .into_iter()
        .filter(|mount| mount.hidden)
        .map(|mount| {
            let inside = OsString::from_vec(mount.point);
            tree.path.join(Path::new(&inside).strip_prefix("/").unwrap_or(Path::new("")))
        })
        .collect();
    let walk = walkdir::WalkDir::new(&tree.path).follow_root_links(true).into_iter();
    Ok(walk.filter_entry(move |entry| {
        let own = match entry.depth() {
            0 => false,
            1 if entry.file_name() == STATE => true,
            _ => entry.file_name() == WORK,
        };
        let inside_hidden = || {
            entry.path().parent().is_some_and(|parent| hidden.iter().any(|point| point == parent))
        };
        !own && !inside_hidden()
    }))
}

//! The pool: a directory with libraries, each under the name of its SHA-256, that many outputs map pages of. In memory these are
//! there once then, as a library that dynamic programs share.
//!
//! What lies there is trusted by its place: nobody but root can write to the directory, to those that lead to it, or to a
//! file in it. The starter looks at that at each start, and maps the output's own pages otherwise; here it is asked for before
//! anything is written, so that a pool that no start would take is no surprise.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use statify_format::manifest::hex;

use crate::pending::PendingFile;

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The starter would not take anything from it.
    #[error("{path}: it {why}; a pool is used only if it and all directories that lead to it belong to root, and nobody else may write to them", path = .0.display(), why = .1)]
    NotRoots(PathBuf, &'static str),
    /// It cannot be opened, or made.
    #[error("{path}: the pool cannot be opened: {source}", path = .0.display(), source = .1)]
    Open(PathBuf, #[source] io::Error),
    /// A file of it cannot be written.
    #[error("{path}: it cannot be written to the pool: {source}", path = .0.display(), source = .1)]
    Write(PathBuf, #[source] io::Error),
}

/// A pool, as a conversion needs it.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Where outputs look for it.
    path: PathBuf,
    /// The conversion puts libraries there.
    is_filled: bool,
}

impl Pool {
    /// Of its files. Whoever may read a file may map it.
    pub const FILE_MODE: u32 = 0o444;
    /// Of itself, and of directories that are made for it.
    pub const DIRECTORY_MODE: u32 = 0o755;

    /// Why a start takes nothing from a file or directory with this owner and mode: the end of a sentence. With an access
    /// control list, the group's bits are what anybody has by it (acl(5)).
    pub fn distrust(owner: u32, mode: u32) -> Option<&'static str> {
        match () {
            () if owner != 0 => Some("does not belong to root"),
            () if mode & 0o002 != 0 => Some("can be written to by everybody"),
            () if mode & 0o020 != 0 => Some("can be written to by a group"),
            () => None,
        }
    }

    /// That in the directory `path` of this machine, which is made if only it is missing, and gets what outputs are to have
    /// from it.
    pub fn open(path: &Path) -> Result<Self, PoolError> {
        let cannot = |error: io::Error| PoolError::Open(path.to_owned(), error);
        // Links that lead there are the business of this conversion, not of each start.
        let path = match (std::fs::canonicalize(path), path.parent(), path.file_name()) {
            (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                let parent = std::fs::canonicalize(parent).map_err(cannot)?;
                let directory = trusted(&parent)?;
                let mode = Mode::from_raw_mode(Pool::DIRECTORY_MODE);
                match rustix::fs::mkdirat(&directory, name, mode) {
                    Err(error) if error != rustix::io::Errno::EXIST => {
                        return Err(cannot(error.into()));
                    }
                    _ => parent.join(name),
                }
            }
            (path, ..) => path.map_err(cannot)?,
        };
        trusted(&path)?;
        if path.parent().is_none() {
            return Err(PoolError::NotRoots(path, "is the root directory itself"));
        }
        Ok(Self { path, is_filled: true })
    }

    /// That in a directory of the system in which outputs will run: absolute, without links. Who converts puts there what
    /// their manifests name.
    pub fn elsewhere(path: &Path) -> Self {
        Self { path: path.to_owned(), is_filled: false }
    }

    /// Where outputs look for it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sees to it that the pool has a file with these contents and this hash, on the disk with `sync`. `source` is where they
    /// are from.
    pub(crate) fn put(
        &self,
        source: &Path,
        sha256: &[u8; 32],
        contents: &[u8],
        sync: bool,
    ) -> Result<(), PoolError> {
        if !self.is_filled {
            return Ok(());
        }
        let path = self.path.join(hex(sha256));
        if has(&path, contents) {
            return Ok(());
        }
        let write = || {
            let pending = PendingFile::create(&path, Pool::FILE_MODE)?;
            if !clone(source, pending.file(), contents) {
                let mut file = pending.file();
                file.set_len(0)?;
                io::Write::write_all(&mut file, contents)?;
            }
            pending.complete(sync)?.publish(&path, true)
        };
        write().map_err(|error| PoolError::Write(path.clone(), error))
    }
}

/// Whether a start would take this file, and it has these contents.
fn has(path: &Path, contents: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
        return false;
    };
    let is_as_written = file.metadata().is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.uid() == 0
            && metadata.permissions().mode() & 0o7777 == Pool::FILE_MODE
            && metadata.len() == contents.len() as u64
    });
    is_as_written && holds(&file, contents)
}

/// Whether a file holds exactly this.
fn holds(mut file: &File, contents: &[u8]) -> bool {
    let mut rest = contents;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return rest.is_empty(),
            Ok(len) => match rest.strip_prefix(&buffer[..len]) {
                Some(more) => rest = more,
                None => return false,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Makes `file` share the blocks of the file at `source`, where the file system can do that (ioctl_ficlone(2)). Whether it
/// has these contents now.
fn clone(source: &Path, file: &File, contents: &[u8]) -> bool {
    File::open(source).is_ok_and(|source| {
        rustix::fs::ioctl_ficlone(file, &source).is_ok() && holds(file, contents)
    })
}

/// Opens a directory by an absolute path without links, if nobody but root can change what it leads to.
fn trusted(path: &Path) -> Result<OwnedFd, PoolError> {
    let mut at = PathBuf::from("/");
    let mut directory: Option<OwnedFd> = None;
    for component in path.components() {
        let name = match component {
            Component::RootDir => OsString::from("/"),
            Component::Normal(name) => name.to_owned(),
            _ => continue,
        };
        at.push(&name);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = directory.as_ref().map_or(CWD, AsFd::as_fd);
        let opened = rustix::fs::openat(parent, &name, flags, Mode::empty());
        let opened = opened.map_err(|error| PoolError::Open(at.clone(), error.into()))?;
        let stat = rustix::fs::statat(&opened, "", AtFlags::EMPTY_PATH);
        let stat = stat.map_err(|error| PoolError::Open(at.clone(), error.into()))?;
        if let Some(why) = Pool::distrust(stat.st_uid, stat.st_mode) {
            return Err(PoolError::NotRoots(at, why));
        }
        directory = Some(opened);
    }
    directory.ok_or_else(|| PoolError::Open(at, io::ErrorKind::InvalidInput.into()))
}

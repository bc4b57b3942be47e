//! What is not complete yet: a directory beside the output, which is given its name when it is. It is opened
//! once; whatever is put in its place meanwhile, nothing is written elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, RenameFlags};
use rustix::io::Errno;
use statify_files::beneath;
use statify_files::trusted::{Entry, Place};

use super::lock::Lock;
use super::opened::{JOURNAL, STATE};
use crate::error::{Error, Result};

/// The directory that is not complete.
#[derive(Debug)]
pub(crate) struct Partial {
    /// What it is called, for messages.
    pub path: PathBuf,
    /// The directory itself.
    pub dir: File,
    parent: File,
    name: OsString,
}

/// What the place for an output is called.
fn name_of(out: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(out);
    name.push(".rootfs-tools-partial");
    name
}

impl Partial {
    /// Makes the place where `out` is made; what an ended run left there is gone. Returns it with the lock on
    /// it.
    pub fn begin(out: &Entry) -> Result<(Self, Lock)> {
        let Place { dir: parent, path } = &out.parent;
        let name = name_of(&out.name);
        let path = path.join(&name);
        let failed = |source| Error::File { path: path.clone(), what: "written", source };
        let is_new = match rustix::fs::mkdirat(parent, &name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(failed(errno.into())),
        };
        let dir = beneath::directory(parent, Path::new(&name)).map_err(failed)?;
        let stat = dir.metadata().map_err(failed)?;
        // Whoever owns it could change all that comes into it.
        if stat.uid() != rustix::process::geteuid().as_raw() || stat.mode() & 0o022 != 0 {
            let why =
                "it is another user's, or others may write to it; remove it, or give another --out";
            return Err(failed(io::Error::other(why)));
        }
        let lock = Lock::of(&dir, &path)?;
        let entries = || std::fs::read_dir(beneath::link(&dir)).map_err(failed);
        let is_empty = is_new || entries()?.next().is_none();
        if !is_empty {
            // The mark that it is such a copy comes first into it, and stays: its journal comes there.
            let mark = beneath::directory(&dir, Path::new(STATE));
            if mark.and_then(|mark| is_mark(&mark)).is_err() {
                return Err(Error::NotEmpty(path.clone(), out.parent.path.join(&out.name)));
            }
        }
        dir.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
        if !is_empty {
            for entry in entries()? {
                let entry = entry.map_err(failed)?.file_name();
                if entry != STATE {
                    remove(&dir, &entry).map_err(failed)?;
                }
            }
        }
        let mark = beneath::make_directory(&dir, OsStr::new(STATE)).map_err(failed)?;
        beneath::empty(&mark).map_err(failed)?;
        let parent = parent.try_clone().map_err(failed)?;
        Ok((Self { path, dir, parent, name }, lock))
    }

    /// A path of what is in it, for std's functions.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        beneath::at(&self.dir, name)
    }

    /// Gives it the name `out`, which stands for nothing, or for an empty directory.
    pub(crate) fn publish(&self, out: &OsStr) -> io::Result<()> {
        self.is_here(&self.name)?;
        rustix::fs::renameat(&self.parent, &self.name, &self.parent, out)?;
        self.is_here(out)?;
        self.parent.sync_all()
    }

    /// Gives what is called `name` in it the name `out`, which stands for nothing.
    pub(crate) fn publish_inner(&self, name: &OsStr, out: &OsStr) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.dir, name, &self.parent, out, flags) {
            // The file system does not know how to.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::renameat(&self.dir, name, &self.parent, out)?;
            }
            other => other?,
        }
        Ok(())
    }

    /// Makes names beside it last.
    pub(crate) fn sync_parent(&self) -> io::Result<()> {
        self.parent.sync_all()
    }

    /// Fails unless this name stands for the very directory.
    fn is_here(&self, name: &OsStr) -> io::Result<()> {
        let found = rustix::fs::statat(&self.parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let own = self.dir.metadata()?;
        if (found.st_dev, found.st_ino) == (own.dev(), own.ino()) {
            return Ok(());
        }
        Err(io::Error::other("somebody has put another directory in its place"))
    }

    /// Removes it with all that is in it.
    pub fn remove(&self) -> io::Result<()> {
        beneath::empty(&self.dir)?;
        beneath::remove_directory(&self.parent, &self.name)
    }

    /// Another hold on it.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            path: self.path.clone(),
            dir: self.dir.try_clone()?,
            parent: self.parent.try_clone()?,
            name: self.name.clone(),
        })
    }
}

/// The mark is an own directory, with nothing but a journal in it.
fn is_mark(mark: &File) -> io::Result<()> {
    for entry in std::fs::read_dir(beneath::link(mark))? {
        if entry?.file_name() != JOURNAL {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

fn remove(dir: &File, name: &OsStr) -> io::Result<()> {
    let path = beneath::at(dir, name);
    match path.symlink_metadata()?.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    }
}

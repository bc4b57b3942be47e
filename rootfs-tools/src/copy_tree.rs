//! A copy of a whole tree: contents, holes, hard links, devices, owners, modes, times, attributes.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};

use crate::contents;
use crate::error::{Error, Result};
use crate::journal::STATE;
use crate::lock::Lock;
use crate::metadata::{Contents, Metadata};
use crate::tree::{self, FileId, Tree};

/// What a copy is called until it is complete: beside its name, so that it gets that by rename(2).
fn partial(out: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(out.file_name().unwrap_or_default());
    name.push(".rootfs-tools-partial");
    out.with_file_name(name)
}

/// Makes the place where `out` is made until it is complete; what an ended run left there is gone.
/// Returns it with the lock on it.
pub fn begin_partial(out: &Path) -> Result<(PathBuf, Lock)> {
    let partial = partial(out);
    let lock = begin(&partial, out).map_err(|error| match error {
        Begin::Io(source) => Error::File { path: partial.clone(), what: "written", source },
        Begin::Other(error) => error,
    })?;
    Ok((partial, lock))
}

/// Makes `out` a copy of the tree. What an ended run has left of one is removed before. `begin_journal`
/// is called when everything is there but the name. Returns the lock on the copy.
pub fn copy(
    from: &Tree,
    out: &Path,
    begin_journal: impl FnOnce(&Path) -> Result<()>,
) -> Result<Lock> {
    let (partial, lock) = begin_partial(out)?;
    let failed = |source| Error::File { path: partial.clone(), what: "written", source };
    copy_into(from, &partial, |_| None)?;
    begin_journal(&partial)?;
    let root = Metadata::of(&from.path).map_err(Error::file("read", &from.path))?;
    root.give_to(&partial, Contents::Same).map_err(failed)?;
    let directory = File::open(&partial).map_err(failed)?;
    rustix::fs::syncfs(&directory).map_err(|errno| failed(errno.into()))?;
    std::fs::rename(&partial, out).map_err(Error::file("written", out))?;
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    crate::journal::sync_directory(parent).map_err(Error::file("written", parent))?;
    Ok(lock)
}

enum Begin {
    Io(io::Error),
    Other(Error),
}

impl From<io::Error> for Begin {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn begin(partial: &Path, out: &Path) -> Result<Lock, Begin> {
    let make = || DirBuilder::new().mode(0o700).create(partial);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let lock = Lock::exclusive(partial).map_err(Begin::Other)?;
            let empty = std::fs::read_dir(partial)?.next().is_none();
            // The mark that it is such a copy comes first into it, and stays: its journal comes there.
            if !empty && !partial.join(STATE).symlink_metadata().is_ok_and(|mark| mark.is_dir()) {
                return Err(Begin::Other(Error::NotEmpty(partial.to_owned(), out.to_owned())));
            }
            for entry in std::fs::read_dir(partial)? {
                let entry = entry?;
                if entry.file_name() == STATE {
                    for file in std::fs::read_dir(entry.path())? {
                        std::fs::remove_file(file?.path())?;
                    }
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    std::fs::remove_dir_all(entry.path())?;
                } else {
                    std::fs::remove_file(entry.path())?;
                }
            }
            if empty {
                DirBuilder::new().mode(0o700).create(partial.join(STATE))?;
            }
            Ok(lock)
        }
        other => {
            other?;
            let lock = Lock::exclusive(partial).map_err(Begin::Other)?;
            DirBuilder::new().mode(0o700).create(partial.join(STATE))?;
            Ok(lock)
        }
    }
}

/// Copies what is in the tree into the directory `to`. For a file for whose path from ROOT on `instead`
/// names another one, that is copied.
pub fn copy_into(from: &Tree, to: &Path, instead: impl Fn(&Path) -> Option<PathBuf>) -> Result<()> {
    let mut first_names: HashMap<FileId, PathBuf> = HashMap::new();
    let mut directories = Vec::new();
    for entry in tree::walk(from)? {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(&from.path).to_owned();
            Error::File { path, what: "read", source: error.into() }
        })?;
        if entry.depth() == 0 {
            continue;
        }
        let inside = entry.path().strip_prefix(&from.path).unwrap_or(entry.path());
        let path = to.join(inside);
        let other = instead(&Path::new("/").join(inside));
        let source = other.as_deref().unwrap_or(entry.path());
        let read = |error| Error::File { path: source.to_owned(), what: "read", source: error };
        let stat = entry.path().symlink_metadata().map_err(read)?;
        let metadata = Metadata::of(source).map_err(read)?;
        if stat.is_dir() {
            DirBuilder::new().mode(0o700).create(&path).map_err(Error::file("written", &path))?;
            directories.push((path, metadata));
            continue;
        }
        if stat.nlink() > 1 {
            if let Some(first) = first_names.get(&tree::id(&stat)) {
                std::fs::hard_link(first, &path).map_err(Error::file("written", &path))?;
                continue;
            }
            first_names.insert(tree::id(&stat), path.clone());
        }
        make(source, &stat, &path).map_err(Error::file("written", &path))?;
        metadata.give_to(&path, Contents::Same).map_err(Error::file("written", &path))?;
    }
    // What comes into a directory changes its times, so they are set last, the innermost first.
    for (path, metadata) in directories.into_iter().rev() {
        metadata.give_to(&path, Contents::Same).map_err(Error::file("written", &path))?;
    }
    Ok(())
}

fn make(from: &Path, stat: &std::fs::Metadata, to: &Path) -> io::Result<()> {
    let kind = stat.file_type();
    if kind.is_file() {
        return contents::copy(&contents::open(from)?, to).map(drop);
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
    }
    let kind = match kind {
        kind if kind.is_fifo() => FileType::Fifo,
        kind if kind.is_socket() => FileType::Socket,
        kind if kind.is_char_device() => FileType::CharacterDevice,
        _ => FileType::BlockDevice,
    };
    let path = CString::new(to.as_os_str().as_bytes())?;
    Ok(rustix::fs::mknodat(CWD, path.as_c_str(), kind, Mode::from_raw_mode(0o600), stat.rdev())?)
}

//! A pool, and what a start of a converted program would take from it, by the rules of the starter
//! (`starter/image/pool.rs`): nothing that anybody but root can have put there.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use statify_elf::holes;
use statify_format::manifest::hex;
use statify_params::PoolFile;
use statify_room::root::link_to;

use super::open::MappedFile;

/// Writable by the group or others; with an access control list, by anybody whom it names (acl(5)).
const OTHERS_WRITE: u32 = 0o022;

/// Why a start takes nothing from there.
#[derive(Debug, thiserror::Error)]
pub enum Untaken {
    /// There is nothing of this name.
    #[error("it is not there")]
    Missing,
    /// A link, a device, or another thing.
    #[error("it is not {0}")]
    Kind(&'static str),
    /// Somebody may have changed it.
    #[error("it {0}")]
    NotRoots(&'static str),
    /// Its length in bytes, and what it should be.
    #[error("it has {0} bytes, and not {1}")]
    Length(u64, u64),
    /// It cannot be opened or looked at.
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

impl From<Errno> for Untaken {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            error => Self::Unreadable(error.into()),
        }
    }
}

/// A file of a pool.
#[derive(Debug)]
pub struct Taken {
    /// Its bytes.
    pub file: MappedFile,
    /// fs-verity guards it: a start takes it only if its digest is the recorded one.
    pub is_guarded: bool,
}

/// Opens the directory to which these names lead from the root on.
pub fn open<'n>(names: impl Iterator<Item = &'n [u8]>) -> Result<OwnedFd, Untaken> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |parent: Option<&OwnedFd>, name: &[u8]| -> Result<OwnedFd, Untaken> {
        let parent = parent.map_or(CWD, AsFd::as_fd);
        let opened = rustix::fs::openat(parent, OsStr::from_bytes(name), flags, Mode::empty());
        let opened = opened.map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => Untaken::Kind("a directory (links are not followed)"),
            error => error.into(),
        })?;
        check(&rustix::fs::fstat(&opened)?)?;
        Ok(opened)
    };
    let mut directory = open(None, b"/")?;
    for name in names {
        directory = open(Some(&directory), name)?;
    }
    Ok(directory)
}

/// Opens a file in it.
pub fn open_file(directory: &OwnedFd, wanted: &PoolFile) -> Result<Taken, Untaken> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, hex(&wanted.sha256), flags, Mode::empty());
    let opened = opened.map_err(|error| match error {
        Errno::LOOP => Untaken::Kind("a regular file"),
        error => error.into(),
    })?;
    let stat = rustix::fs::fstat(&opened)?;
    check(&stat)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Untaken::Kind("a regular file"));
    }
    let len = stat.st_size.try_into().unwrap_or(0);
    if len != wanted.len {
        return Err(Untaken::Length(len, wanted.len));
    }
    let is_guarded = is_guarded(&opened);
    let opened = File::from(opened);
    let file = MappedFile::open(&link_to(opened.as_fd()));
    let file = file.map_err(|error| Untaken::Unreadable(io::Error::other(error)))?;
    // A hole of terabytes would take long to read.
    let judged = if len > holes::LARGEST {
        Err(io::Error::from(io::ErrorKind::FileTooLarge))
    } else {
        file.check_holes()
    };
    judged.map_err(Untaken::Unreadable)?;
    Ok(Taken { file, is_guarded })
}

/// Whether nobody but root can have changed what this is of.
fn check(stat: &Stat) -> Result<(), Untaken> {
    match distrust(stat.st_uid, stat.st_mode, 0) {
        Some(why) => Err(Untaken::NotRoots(why)),
        None => Ok(()),
    }
}

/// Why the starter does not trust a file or directory with this owner and mode, where root has the id `root`.
pub fn distrust(owner: u32, mode: u32, root: u32) -> Option<&'static str> {
    match () {
        () if owner != root => Some("does not belong to root"),
        () if mode & OTHERS_WRITE != 0 => Some("can be written to by others than root"),
        () => None,
    }
}

/// Whether the kernel lets nobody read other contents than fs-verity's digest says.
fn is_guarded(file: &OwnedFd) -> bool {
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    stat.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::VERITY))
}

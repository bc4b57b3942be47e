//! What a file has besides its contents: owner, mode, times, extended attributes (capabilities, access
//! control lists and security labels among them).

use std::ffi::{CString, OsStr};
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use crate::beneath;

/// Attributes that are hashes or signatures of a file's contents (the kernel's integrity
/// measurement): of a converted file they would be wrong.
pub const OF_CONTENTS: [&[u8]; 2] = [b"security.ima", b"security.evm"];
/// Of one attribute's value, in bytes (XATTR_SIZE_MAX, linux/limits.h).
const MOST_VALUE: usize = 65536;

/// It.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    owner: u32,
    group: u32,
    /// The file type and the twelve bits of chmod(2).
    mode: u32,
    /// Seconds and nanoseconds.
    accessed: (i64, i64),
    modified: (i64, i64),
    /// Names and values.
    attributes: Vec<(CString, Vec<u8>)>,
}

/// Whether the contents are to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// It is a copy.
    Same,
    /// It is a converted program.
    Converted,
}

impl Metadata {
    /// Those of the file `path`, which is not followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::of_open(&this(path)?)
    }

    /// Those of a file that was opened in whatever way.
    pub fn of_open(file: impl AsFd) -> io::Result<Self> {
        let path = &beneath::link(file);
        let stat = path.metadata()?;
        Ok(Self {
            owner: stat.uid(),
            group: stat.gid(),
            mode: stat.mode(),
            accessed: (stat.atime(), stat.atime_nsec()),
            modified: (stat.mtime(), stat.mtime_nsec()),
            attributes: attributes(path)?,
        })
    }

    /// With these times, in seconds and nanoseconds.
    pub fn at_times(self, accessed: (i64, i64), modified: (i64, i64)) -> Self {
        Self { accessed, modified, ..self }
    }

    /// Gives them to the file `path`, which is not followed. It is opened once: whatever is put in its
    /// place meanwhile gets nothing. Nothing is given to a file that has other names.
    pub fn give_to(&self, path: &Path, contents: Contents) -> io::Result<()> {
        let file = this(path)?;
        let path = &beneath::link(&file);
        let now = path.metadata()?;
        if !now.is_dir() && now.nlink() > 1 {
            return Err(io::Error::other("another file was put in its place"));
        }
        if (now.uid(), now.gid()) != (self.owner, self.group) {
            // It takes set-user-ID bits and capabilities away, so it comes first.
            std::os::unix::fs::chown(path, Some(self.owner), Some(self.group))?;
        }
        if !now.is_symlink() {
            std::fs::set_permissions(path, Permissions::from_mode(self.mode & 0o7777))?;
        }
        let wanted = |name: &[u8]| contents == Contents::Same || !OF_CONTENTS.contains(&name);
        let kept: Vec<_> =
            self.attributes.iter().filter(|(name, _)| wanted(name.to_bytes())).collect();
        // What the directory's defaults gave it (access control lists).
        for (name, _) in attributes(path)? {
            if !kept.iter().any(|(kept, _)| *kept == name) && name.to_bytes() != b"security.selinux"
            {
                remove(path, &name)?;
            }
        }
        for (name, value) in kept {
            rustix::fs::setxattr(path, name.as_c_str(), value, XattrFlags::empty())?;
        }
        set_times(path, self.accessed, self.modified)?;
        // The kernel may have dropped something without a word.
        let given = path.metadata()?;
        let given = (given.uid(), given.gid(), given.mode());
        if given != (self.owner, self.group, self.mode) {
            return Err(io::Error::other("the file system does not keep owner and permissions"));
        }
        Ok(())
    }
}

/// This very file, whatever it is; nothing is done by opening it.
fn this(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

fn remove(path: &Path, name: &CString) -> io::Result<()> {
    match rustix::fs::removexattr(path, name.as_c_str()) {
        // Of the kernel's own, and not to be removed.
        Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NODATA) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Sets the times of what a descriptor's link or a directory's dot stands for.
pub fn set_times(path: &Path, accessed: (i64, i64), modified: (i64, i64)) -> io::Result<()> {
    let time = |(seconds, nanoseconds)| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time(accessed), last_modification: time(modified) };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?)
}

fn attributes(path: &Path) -> io::Result<Vec<(CString, Vec<u8>)>> {
    // As large as the kernel lets them be (XATTR_LIST_MAX).
    let mut names = vec![0; 65536];
    let len = match rustix::fs::listxattr(path, &mut names[..]) {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let mut attributes = Vec::new();
    for name in names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; MOST_VALUE];
        match rustix::fs::getxattr(path, OsStr::from_bytes(name), &mut value[..]) {
            Ok(len) => {
                value.truncate(len);
                attributes.push((CString::new(name).expect("split at NULs"), value));
            }
            // Gone meanwhile, or only listed.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    attributes.sort();
    Ok(attributes)
}

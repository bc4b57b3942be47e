//! Where a conversion finds program, loader and libraries: on this machine, or in a directory that
//! stands for its root (`--root`). Nothing that lies in such a directory leads out of it, whatever
//! its symbolic links and `..` say, nor may it be exchanged on the way: files are opened once, in
//! the directory, and used through that descriptor.

pub mod walk;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::error::{Error, Result};

/// Where a name without a slash is looked for in another root than this machine's, whose own PATH
/// says nothing of it.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often openat2(2) is asked again that gave up because something was renamed meanwhile.
const ATTEMPTS: usize = 16;

/// This machine's root, or a directory that stands for it.
#[derive(Clone, Debug, Default)]
pub struct Root(Option<Arc<Directory>>);

/// An opened directory.
#[derive(Debug)]
struct Directory {
    fd: OwnedFd,
    /// As it was given, for messages.
    given: PathBuf,
    /// Without symbolic links, as the kernel shows it.
    path: PathBuf,
}

/// A file that was found.
#[derive(Debug)]
pub struct Found {
    link: PathBuf,
    /// In another root than this machine's: its path there, and its descriptor.
    inside: Option<(PathBuf, OwnedFd)>,
}

impl Found {
    /// A path to this very file for as long as this lives, for std's functions: /proc's link to a
    /// descriptor, or on this machine the path that was asked for.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// Its path inside the root, without symbolic links.
    pub fn path(&self) -> io::Result<PathBuf> {
        match &self.inside {
            Some((path, _)) => Ok(path.clone()),
            None => self.link.canonicalize(),
        }
    }
}

impl Root {
    /// This machine.
    pub fn machine() -> Self {
        Self(None)
    }

    /// A directory.
    pub fn open(dir: &Path) -> Result<Self> {
        let open = || -> io::Result<Directory> {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(dir, flags, Mode::empty())?;
            let path = path_of(fd.as_fd())?;
            Ok(Directory { fd, given: dir.to_owned(), path })
        };
        let directory = open().map_err(|source| Error::Root(dir.to_owned(), source))?;
        Ok(Self(Some(Arc::new(directory))))
    }

    /// The directory and its path, if it is not this machine's root.
    pub fn directory(&self) -> Option<(BorrowedFd<'_>, &Path)> {
        self.0.as_ref().map(|directory| (directory.fd.as_fd(), directory.path.as_path()))
    }

    /// The directory as it was given.
    pub fn given(&self) -> Option<&Path> {
        self.0.as_ref().map(|directory| directory.given.as_path())
    }

    /// `path` from the root on.
    pub fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        match self.0 {
            None => std::path::absolute(path),
            Some(_) => Ok(Path::new("/").join(path)),
        }
    }

    /// Finds a file, without opening it: that might wait (a FIFO) or do something (a device).
    pub fn find(&self, path: &Path) -> io::Result<Found> {
        let Some(directory) = &self.0 else {
            return Ok(Found { link: path.to_owned(), inside: None });
        };
        let fd = resolve(directory.fd.as_fd(), path)?;
        let link = link_to(fd.as_fd());
        let own = path_of(fd.as_fd())?;
        let inside = own.strip_prefix(&directory.path).unwrap_or(&own);
        let path = Path::new("/").join(inside);
        Ok(Found { link, inside: Some((path, fd)) })
    }

    /// The directory that paths begin in, open with O_PATH.
    pub fn top(&self) -> io::Result<OwnedFd> {
        match &self.0 {
            Some(directory) => directory.fd.try_clone(),
            None => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Ok(rustix::fs::open("/", flags, Mode::empty())?)
            }
        }
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &Path) -> bool {
        self.find(path).is_ok_and(|found| found.link().exists())
    }
}

/// Opens `path` with O_PATH as a process would find it whose root is `root` (openat2(2), Linux 5.6;
/// some container's filters refuse it).
fn resolve(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(rustix::io::Errno::AGAIN) => {}
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => break,
            other => return Ok(other?),
        }
    }
    walk::resolve(root, path)
}

/// A path to what a descriptor of this process leads to, for as long as it is open.
pub fn link_to(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn path_of(fd: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(link_to(fd))
}

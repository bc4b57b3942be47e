//! Paths that a user names and that others might turn elsewhere: walked one component after the other, each
//! opened once. No other user's link is followed; and where what lies there counts (originals, conversions
//! that are kept), no directory on the way may be another user's, or be written to by others.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::beneath;

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// The file system whose links only the kernel makes (linux/magic.h).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;
/// What a user is shown as who has no number in a user namespace (/proc/sys/kernel/overflowuid).
const UNMAPPED: u32 = 65534;

/// What is asked of the directories on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They are root's or one's own, and nobody else may put another in the place of what is found.
    Ours,
    /// Nothing; only links count.
    Any,
}

/// A directory that was found.
#[derive(Debug)]
pub struct Place {
    /// It.
    pub dir: File,
    /// Its path without links.
    pub path: PathBuf,
}

/// A name in a directory, which may be anything or nothing.
#[derive(Debug)]
pub struct Entry {
    /// The directory.
    pub parent: Place,
    /// The name.
    pub name: OsString,
}

/// Opens the directory `path`. What is missing of it is made with the mode `make`, if there is one. If others
/// may make files in it (a sticky directory), it is still one's way to one's own.
pub fn directory(path: &Path, way: Way, make: Option<u32>) -> io::Result<Place> {
    let mut walk = Walk::new(way)?;
    walk.go(&std::path::absolute(path)?, make)?;
    walk.place()
}

/// The same, of a directory into which nobody else may put anything.
pub fn own_directory(path: &Path, make: bool) -> io::Result<Place> {
    let place = directory(path, Way::Ours, make.then_some(0o700))?;
    if others_write(&place.dir.metadata()?) {
        return Err(refused(&place.path, "others than you may write to it"));
    }
    Ok(place)
}

/// The directory that `path` lies in. A link that has this name is followed, unless it is another user's.
pub fn entry(path: &Path, way: Way) -> io::Result<Entry> {
    let mut walk = Walk::new(way)?;
    let mut path = std::path::absolute(path)?;
    loop {
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        };
        walk.go(path.parent().unwrap_or(Path::new("/")), None)?;
        match walk.link(&name)? {
            Link::To(target) => path = walk.path().join(target),
            Link::None | Link::Kernel => return Ok(Entry { parent: walk.place()?, name }),
        }
    }
}

/// The directory that `path` lies in, whatever has its name there, also a link.
pub fn parent(path: &Path, way: Way) -> io::Result<Entry> {
    let path = std::path::absolute(path)?;
    let name = path.file_name().ok_or(io::Error::from_raw_os_error(libc::EISDIR))?.to_owned();
    let parent = directory(path.parent().unwrap_or(Path::new("/")), way, None)?;
    Ok(Entry { parent, name })
}

/// Whether a file is root's or one's own.
pub fn is_ours(stat: &Metadata) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&stat.uid())
}

/// Whether others than its owner may write to it. A group with the number of its owner, who is not root, is
/// that user's own.
pub fn others_write(stat: &Metadata) -> bool {
    let group = stat.mode() & 0o020 != 0 && (stat.uid() == 0 || stat.gid() != stat.uid());
    group || stat.mode() & 0o002 != 0
}

/// What stands at a name, as far as links go.
enum Link {
    /// No link.
    None,
    /// One to be followed by hand.
    To(PathBuf),
    /// One of /proc, which only the kernel can follow.
    Kernel,
}

struct Walk {
    way: Way,
    links: usize,
    /// From / on: each directory with its path.
    so_far: Vec<(File, PathBuf)>,
    is_mapped: bool,
}

impl Walk {
    fn new(way: Way) -> io::Result<Self> {
        let mut walk = Self { way, links: 0, so_far: Vec::new(), is_mapped: is_mapped() };
        walk.enter(File::open("/")?, "/".into())?;
        Ok(walk)
    }

    /// Where it is.
    fn here(&self) -> &File {
        &self.so_far[self.so_far.len() - 1].0
    }

    fn path(&self) -> &Path {
        &self.so_far[self.so_far.len() - 1].1
    }

    /// As a directory that can be read, where that is allowed.
    fn place(self) -> io::Result<Place> {
        let dir = beneath::directory(self.here(), Path::new(""))?;
        Ok(Place { dir, path: self.path().to_owned() })
    }

    fn enter(&mut self, dir: File, path: PathBuf) -> io::Result<()> {
        if self.way == Way::Ours {
            let stat = dir.metadata()?;
            let above = self.so_far.last().map(|(above, _)| above.metadata()).transpose()?;
            let is_shared = above.is_some_and(|above| others_write(&above));
            // In a user namespace, root of the machine has no number.
            let is_roots = !self.is_mapped && stat.uid() == UNMAPPED && !is_shared;
            if !is_ours(&stat) && !is_roots {
                return Err(refused(&path, "it belongs to somebody else"));
            }
            // Where others may make files, but only remove their own, one's own is safe.
            let sticky = stat.mode() & 0o1000 != 0;
            if others_write(&stat) && !sticky {
                return Err(refused(&path, "others than you may write to it"));
            }
        }
        self.so_far.push((dir, path));
        Ok(())
    }

    /// Goes to an absolute path.
    fn go(&mut self, path: &Path, make: Option<u32>) -> io::Result<()> {
        let mut left: Vec<OsString> = Vec::new();
        let push = |left: &mut Vec<OsString>, path: &Path| {
            left.extend(path.components().rev().map(|part| part.as_os_str().to_owned()));
        };
        push(&mut left, path);
        while let Some(part) = left.pop() {
            match Path::new(&part).components().next() {
                Some(Component::RootDir) => self.so_far.truncate(1),
                Some(Component::ParentDir) if self.so_far.len() > 1 => {
                    self.so_far.truncate(self.so_far.len() - 1)
                }
                Some(Component::Normal(name)) => match self.link(name)? {
                    Link::To(target) => push(&mut left, &target),
                    link => {
                        let follow = matches!(link, Link::Kernel);
                        let dir = self.open(name, follow, make)?;
                        self.enter(dir, self.path().join(name))?;
                    }
                },
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&self, name: &OsStr, follow: bool, make: Option<u32>) -> io::Result<File> {
        let mut flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !follow);
        let open = || rustix::fs::openat(self.here(), name, flags, Mode::empty());
        let (Some(mode), Err(Errno::NOENT)) = (make, open()) else {
            return Ok(open()?.into());
        };
        match rustix::fs::mkdirat(self.here(), name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => Ok(open()?.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether a name here is a link, and may be followed.
    fn link(&mut self, name: &OsStr) -> io::Result<Link> {
        let at = beneath::at(self.here(), name);
        let stat = match at.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Link::None),
            other => other?,
        };
        if !stat.is_symlink() {
            return Ok(Link::None);
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let here = self.here().metadata()?;
        let is_directorys = stat.uid() == here.uid() && !others_write(&here);
        if !is_ours(&stat) && !is_directorys {
            return Err(refused(&self.path().join(name), "it is another user's link"));
        }
        if rustix::fs::fstatfs(self.here())?.f_type as i64 == PROC_SUPER_MAGIC {
            return Ok(Link::Kernel);
        }
        Ok(Link::To(std::fs::read_link(at)?))
    }
}

/// Whether the machine's users have their own numbers here (user_namespaces(7)).
fn is_mapped() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn who_may_write_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let (above, dir) = (root.path().join("above"), root.path().join("above/dir"));
        fs::create_dir_all(&dir).unwrap();
        for (above_mode, mode, way, own) in [
            (0o755, 0o700, true, true),
            (0o777, 0o700, false, false),
            (0o1777, 0o700, true, true),
            (0o755, 0o777, false, false),
            (0o755, 0o1777, true, false),
        ] {
            fs::set_permissions(&above, Permissions::from_mode(above_mode)).unwrap();
            fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
            let found = directory(&dir, Way::Ours, None);
            assert_eq!(found.is_ok(), way, "{above_mode:o} {mode:o}");
            assert_eq!(own_directory(&dir, false).is_ok(), own, "{above_mode:o} {mode:o}");
            assert!(directory(&dir, Way::Any, None).is_ok());
        }
    }

    #[test]
    fn links_and_dots_are_as_the_kernel_has_them() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/file"), "").unwrap();
        symlink("a/b", at("link")).unwrap();
        symlink("../link/file", at("a/file")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for path in ["a/b", "link", "a/b/../../link", "a/../a/./b/"] {
            assert_eq!(directory(&at(path), Way::Ours, None).unwrap().path, at("a/b"), "{path}");
        }
        let found = entry(&at("a/file"), Way::Ours).unwrap();
        assert_eq!(found.parent.path.join(found.name), at("a/b/file"));
        let found = parent(&at("a/file"), Way::Ours).unwrap();
        assert_eq!(found.parent.path.join(found.name), at("a/file"));
        assert!(directory(&at("loop"), Way::Ours, None).is_err());
        assert!(directory(&at("none"), Way::Ours, None).is_err());
        assert_eq!(directory(&at("x/y"), Way::Ours, Some(0o700)).unwrap().path, at("x/y"));
        assert!(entry(Path::new("/dev/stdout"), Way::Any).is_ok());
    }
}

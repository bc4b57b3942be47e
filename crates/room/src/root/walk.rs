//! What openat2(2) does with RESOLVE_IN_ROOT, for kernels without it: one component after the other,
//! each opened in the directory before it, and `..` by remembering where one came from.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// More symbolic links than this are a loop (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What a walk comes by: a name in a directory.
pub struct Hop<'a> {
    /// The directory.
    pub directory: BorrowedFd<'a>,
    /// What has the name, open with O_PATH, and what it is; `None` if nothing has.
    pub found: Option<(BorrowedFd<'a>, &'a Stat)>,
    /// Where that is, without symbolic links but itself.
    pub path: &'a Path,
}

/// Opens `path` with O_PATH as a process would find it whose root is `root`.
pub fn resolve(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    walk(root, path, |_| Ok::<_, io::Error>(()))
}

/// The same; `see` is shown every name on the way, those that symbolic links lead by among them, and
/// may end it.
pub fn walk<E: From<io::Error>>(
    root: BorrowedFd<'_>,
    path: &Path,
    mut see: impl FnMut(&Hop<'_>) -> Result<(), E>,
) -> Result<OwnedFd, E> {
    // The directories between the root and where one is, and their names.
    let mut above: Vec<OwnedFd> = Vec::new();
    let mut place = PathBuf::from("/");
    // What is left of the path, its first component last.
    let mut left = Vec::new();
    push_components(&mut left, path.as_os_str());
    if left.is_empty() && path.as_os_str().is_empty() {
        return Err(errno(libc::ENOENT).into());
    }
    let mut links = 0;
    while let Some(name) = left.pop() {
        let here = above.last().map_or(root, |fd| fd.as_fd());
        if name == "." || name == ".." {
            // Of a directory only.
            rustix::fs::openat(here, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(io::Error::from)?;
            if name == ".." {
                above.pop();
                place.pop();
            }
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = place.join(&name);
        let hop = |found| Hop { directory: here, found, path: &path };
        let found = match rustix::fs::openat(here, &name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                see(&hop(None))?;
                return Err(errno(libc::ENOENT).into());
            }
            other => other.map_err(io::Error::from)?,
        };
        let stat = rustix::fs::statat(&found, "", AtFlags::EMPTY_PATH).map_err(io::Error::from)?;
        see(&hop(Some((found.as_fd(), &stat))))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            above.push(found);
            place = path;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(errno(libc::ELOOP).into());
        }
        let target = rustix::fs::readlinkat(&found, "", Vec::new()).map_err(io::Error::from)?;
        let target = target.as_bytes();
        if target.starts_with(b"/") {
            above.clear();
            place = PathBuf::from("/");
        }
        push_components(&mut left, OsStr::from_bytes(target));
    }
    match above.pop() {
        Some(fd) => Ok(fd),
        None => Ok(root.try_clone_to_owned()?),
    }
}

/// Adds the components of `path`; a slash at its end demands a directory.
fn push_components(left: &mut Vec<OsString>, path: &OsStr) {
    let bytes = path.as_bytes();
    if bytes.ends_with(b"/") {
        left.push(".".into());
    }
    let components = bytes.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
    let components: Vec<_> = components.map(|name| OsStr::from_bytes(name).to_owned()).collect();
    left.extend(components.into_iter().rev());
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, symlink};

    use proptest::prelude::*;
    use rustix::fs::ResolveFlags;

    use super::*;

    /// Every link in it leads out, were it not for the root.
    fn tree(links: &[(usize, String)]) -> tempfile::TempDir {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(outside.path().join("f"), "outside").unwrap();
        for file in ["f", "a/f", "a/b/f", "a/b/c/f"] {
            fs::write(root.join(file), "inside").unwrap();
        }
        for (place, target) in links {
            let dir = ["", "a", "a/b", "a/b/c"][place % 4];
            // A name may be taken already.
            let _ = symlink(target, root.join(dir).join(format!("l{}", place / 4)));
        }
        outside
    }

    fn paths() -> impl Strategy<Value = String> {
        let component = prop::sample::select(vec!["a", "b", "c", "f", "..", ".", "l0", "l1", "l2"]);
        let slash = prop::sample::select(vec!["", "/"]);
        (slash.clone(), prop::collection::vec(component, 1..6), slash)
            .prop_map(|(start, names, end)| format!("{start}{}{end}", names.join("/")))
    }

    proptest! {
        #[test]
        fn as_the_kernel_does(
            links in prop::collection::vec((0usize..12, paths()), 0..8),
            asked in prop::collection::vec(paths(), 1..16),
        ) {
            let outside = tree(&links);
            let root = File::open(outside.path().join("root")).unwrap();
            for path in asked {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let kernel =
                    rustix::fs::openat2(&root, &*path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
                if matches!(kernel, Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM)) {
                    return Ok(());
                }
                let id = |fd: OwnedFd| File::from(fd).metadata().map(|m| (m.dev(), m.ino())).unwrap();
                let kernel = kernel.map(id).map_err(|error| Some(error.raw_os_error()));
                let walked = resolve(root.as_fd(), Path::new(&path));
                let walked = walked.map(id).map_err(|error| error.raw_os_error());
                prop_assert_eq!(walked, kernel, "{} with {:?}", path, links);
            }
        }
    }
}

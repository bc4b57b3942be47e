//! Files opened beneath a directory's descriptor: by plain relative names, through no link on the way,
//! whatever is renamed meanwhile (openat2(2)).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often openat2(2) is asked again that gave up because something was renamed meanwhile.
const ATTEMPTS: usize = 16;
/// For a directory that is read.
pub const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY);

/// Whether an error says that nothing is there, or something else than a directory is on the way to it.
pub fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    Errno::from_io_error(error).is_some_and(|errno| gone.contains(&errno))
}

/// Whether a path is one that this opens: relative, and of names only. The empty one is the directory
/// itself.
pub fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    !bytes.contains(&0) && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Opens the file `inside` of `dir`; a new one is for its owner only.
pub fn open(dir: impl AsFd, inside: &Path, flags: OFlags) -> io::Result<File> {
    if !is_plain(inside) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain relative name"));
    }
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode =
        if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(&dir, inside, flags, mode, resolve) {
            Err(Errno::AGAIN) => {}
            // An older kernel, or a container's filter.
            Err(Errno::NOSYS | Errno::PERM) => break,
            other => return Ok(other?.into()),
        }
    }
    step_by_step(dir, inside, flags, mode)
}

fn step_by_step(dir: impl AsFd, inside: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
    let (parent, name) = match (inside.parent(), inside.file_name()) {
        (Some(parent), Some(name)) => (parent, name),
        _ => (Path::new(""), OsStr::new(".")),
    };
    let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: Option<OwnedFd> = None;
    for part in parent {
        let from = at.as_ref().map_or(dir.as_fd(), AsFd::as_fd);
        at = Some(rustix::fs::openat(from, part, on_the_way, Mode::empty())?);
    }
    let from = at.as_ref().map_or(dir.as_fd(), AsFd::as_fd);
    Ok(rustix::fs::openat(from, name, flags, mode)?.into())
}

/// Opens a directory beneath `dir`, to be read.
pub fn directory(dir: impl AsFd, inside: &Path) -> io::Result<File> {
    open(dir, inside, DIRECTORY)
}

/// Opens a regular file, to be read.
pub fn file(dir: impl AsFd, inside: &Path) -> io::Result<File> {
    let file = open(dir, inside, OFlags::RDONLY | OFlags::NONBLOCK)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// A path to what a descriptor stands for, for functions that follow links.
pub fn link(fd: impl AsFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()).into()
}

/// A path to `name` in this very directory, for std's functions.
pub fn at(dir: impl AsFd, name: impl AsRef<Path>) -> PathBuf {
    link(dir).join(name)
}

/// Makes the directory `name` in `dir`, for its owner only, or takes the one that is there.
pub fn make_directory(dir: impl AsFd, name: &OsStr) -> io::Result<File> {
    match rustix::fs::mkdirat(&dir, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => directory(dir, Path::new(name)),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes everything in a directory.
pub fn empty(dir: &File) -> io::Result<()> {
    for entry in std::fs::read_dir(link(dir))? {
        let path = at(dir, entry?.file_name());
        let removed = match path.symlink_metadata() {
            Ok(stat) if stat.is_dir() => std::fs::remove_dir_all(&path),
            other => other.and_then(|_| std::fs::remove_file(&path)),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Removes the empty directory `name` of `dir`.
pub fn remove_directory(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Removes the file `name` of `dir`.
pub fn remove_file(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leads_out() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("in/a/b")).unwrap();
        std::fs::write(at("in/a/b/file"), "").unwrap();
        std::fs::write(at("out"), "").unwrap();
        symlink("a", at("in/link")).unwrap();
        symlink("../out", at("in/a/out")).unwrap();
        let dir = File::open(at("in")).unwrap();
        let steps = |inside: &str| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            step_by_step(&dir, Path::new(inside), flags, Mode::empty())
        };
        for (inside, good) in
            [("a/b/file", true), ("link/b/file", false), ("a/out", false), ("a/b/none", false)]
        {
            assert_eq!(file(&dir, Path::new(inside)).is_ok(), good, "{inside}");
            assert_eq!(steps(inside).is_ok(), good, "{inside}");
        }
        for inside in ["../out", "/etc/passwd", "a/../../out", "a/b\0file"] {
            assert!(file(&dir, Path::new(inside)).is_err(), "{inside:?}");
        }
        assert!(file(&dir, Path::new("a/b")).is_err());
        assert!(directory(&dir, Path::new("")).is_ok());
    }

    #[test]
    fn a_directory_is_emptied_and_its_links_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("full/a/b")).unwrap();
        std::fs::create_dir(at("other")).unwrap();
        std::fs::write(at("other/file"), "").unwrap();
        symlink(at("other"), at("full/link")).unwrap();
        let dir = File::open(root.path()).unwrap();
        let full = directory(&dir, Path::new("full")).unwrap();
        empty(&full).unwrap();
        remove_directory(&dir, OsStr::new("full")).unwrap();
        assert!(at("other/file").exists());
    }
}

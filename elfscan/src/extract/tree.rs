//! The directory that files are extracted to. Their paths come from the converted file, so nothing is
//! written outside of the directory: no `..`, no symbolic link, no file replaced unless asked for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use super::Error;

/// A directory to write to.
#[derive(Debug)]
pub struct Tree {
    directory: OwnedFd,
    path: PathBuf,
    force: bool,
}

impl Tree {
    /// Opens a directory, which is made if it is not there; with `force`, files in it are replaced.
    pub fn open(path: &Path, force: bool) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::Write(path.to_owned(), error);
        std::fs::create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        if path.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
            // gdb could not be told of it.
            return Err(Error::Path(path.to_string_lossy().into_owned()));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty());
        let directory = directory.map_err(|error| failed(error.into()))?;
        Ok(Self { directory, path, force })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file: under another name, then renamed. The absolute path that it has then.
    pub fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, Error> {
        let names = names(path)?;
        let shown = names.iter().fold(self.path.clone(), |path, name| path.join(name));
        match self.put(&names, bytes, mode) {
            Ok(()) => Ok(shown),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists(shown)),
            Err(error) => Err(Error::Write(shown, error)),
        }
    }

    fn put(&self, names: &[&OsStr], bytes: &[u8], mode: u32) -> io::Result<()> {
        let Some((name, directories)) = names.split_last() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut directory = rustix::io::dup(self.directory.as_fd())?;
        for name in directories {
            match rustix::fs::mkdirat(&directory, *name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            directory = rustix::fs::openat(&directory, *name, flags, Mode::empty())?;
        }
        let mut pending = OsString::from(".elfscan-");
        pending.push(format!("{:x}", std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, &pending, flags, Mode::from_raw_mode(0o600))?;
        let written = write_sparse(File::from(file), bytes, mode).and_then(|()| {
            let flags = if self.force { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
            Ok(rustix::fs::renameat_with(&directory, &pending, &directory, *name, flags)?)
        });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&directory, &pending, AtFlags::empty());
        }
        written
    }
}

/// The components of a path from a manifest, which must be absolute and plain.
pub fn names(path: &Path) -> Result<Vec<&OsStr>, Error> {
    let refused = || Error::Path(path.to_string_lossy().into_owned());
    let mut components = path.components();
    let is_text = !path.as_os_str().as_bytes().iter().any(u8::is_ascii_control);
    if components.next() != Some(Component::RootDir) || !is_text {
        return Err(refused());
    }
    let names = components.map(|component| match component {
        Component::Normal(name) => Ok(name),
        _ => Err(refused()),
    });
    names
        .collect::<Result<Vec<_>, _>>()
        .and_then(|names| if names.is_empty() { Err(refused()) } else { Ok(names) })
}

/// Writes with holes where there are only zeros.
fn write_sparse(mut file: File, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::{FileExt, PermissionsExt};
    const CHUNK: usize = 1 << 16;
    file.set_len(bytes.len() as u64)?;
    for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
        if chunk.iter().any(|&byte| byte != 0) {
            file.write_all_at(chunk, (index * CHUNK) as u64)?;
        }
    }
    file.flush()?;
    file.set_permissions(PermissionsExt::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        for path in ["relative", "/", "", "/a/../b", "/..", "/a\nb", "../x", "/a/\x1b[31m"] {
            assert!(names(Path::new(path)).is_err(), "{path:?}");
        }
        assert_eq!(names(Path::new("/usr//lib/./x")).unwrap(), ["usr", "lib", "x"]);
    }

    #[test]
    fn symbolic_links_and_files_are_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir(&outside).unwrap();
        let tree = Tree::open(&inside, false).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("new"), inside.join("file")).unwrap();
        assert!(tree.write(Path::new("/link/x"), b"x", 0o644).is_err());
        assert!(matches!(tree.write(Path::new("/file"), b"x", 0o644), Err(Error::Exists(_))));
        assert!(tree.write(Path::new("/a/b"), b"x", 0o644).is_ok());
        assert!(matches!(tree.write(Path::new("/a/b"), b"y", 0o644), Err(Error::Exists(_))));
        let tree = Tree::open(&inside, true).unwrap();
        assert!(tree.write(Path::new("/file"), b"x", 0o644).is_ok(), "the link itself is replaced");
        assert!(tree.write(Path::new("/a/b"), b"y", 0o644).is_ok());
        assert_eq!(std::fs::read(inside.join("a/b")).unwrap(), b"y");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        let left = walkdir::WalkDir::new(&inside).into_iter().flatten();
        assert!(!left.into_iter().any(|file| file.path().to_string_lossy().contains(".elfscan")));
    }
}

//! Sockets with a name in the file system, for this user only.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::umask;

/// A socket that is listened at. Its name goes with it.
#[derive(Debug)]
pub struct Socket {
    /// Where clients come from.
    pub listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file.
    file: (u64, u64),
}

impl Socket {
    /// Listens at a path. A socket that a server has left behind there is replaced; one that somebody listens at is not.
    pub fn listen(path: &Path) -> io::Result<Self> {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody serves there already"));
        }
        let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
        if is_socket {
            std::fs::remove_file(path)?;
        }
        let before = umask(Mode::RWXG | Mode::RWXO);
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener?;
        let path = std::path::absolute(path)?;
        let file = identity(&path)?;
        Ok(Self { listener, path, file })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another server's may have taken its place.
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let stat = path.symlink_metadata()?;
    Ok((stat.dev(), stat.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_name_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let one = Socket::listen(&path).unwrap();
        assert_eq!(path.symlink_metadata().unwrap().mode() & 0o077, 0);
        let twice = Socket::listen(&path).unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AddrInUse);
        std::fs::remove_file(&path).unwrap();
        let other = Socket::listen(&path).unwrap();
        drop(one);
        assert!(path.exists());
        drop(other);
        assert!(!path.exists());
    }
}

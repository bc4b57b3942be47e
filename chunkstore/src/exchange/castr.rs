//! A directory of chunks as casync and desync have it: `abcd/abcd....cacnk` is the chunk whose id begins so, a zstd frame;
//! without the ending it is the chunk as it is. Files appear whole.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use statify_files::{beneath, trusted};

use super::caibx::{Digest, Id};
use crate::error::{Error, Result};
use crate::frame;
use crate::store::hex;

/// How a compressed chunk's file ends.
const COMPRESSED: &str = ".cacnk";
/// How a zstd frame begins (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A frame may be so much larger than what is in it, in bytes: zstd's own bound is less.
const SLACK: u64 = 64 << 10;

/// A directory of chunks.
#[derive(Debug)]
pub struct Castr {
    path: PathBuf,
    dir: File,
}

impl Castr {
    /// Opens it; with `make` a missing one is made.
    pub fn open(path: &Path, make: bool) -> io::Result<Self> {
        let place = trusted::directory(path, trusted::Way::Any, make.then_some(0o777))?;
        Ok(Self { path: path.to_owned(), dir: place.dir })
    }

    /// Puts a chunk there, as a frame; one that is there stays. Returns whether it was missing.
    pub fn put(&self, id: &Id, frame: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<bool> {
        let put = || -> io::Result<bool> {
            let folder = OsStr::new(&hex(id)[..4]).to_owned();
            match std::fs::create_dir(beneath::at(&self.dir, &folder)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let folder = beneath::directory(&self.dir, Path::new(&folder))?;
            let name = hex(id) + COMPRESSED;
            match beneath::file(&folder, Path::new(&name)) {
                Ok(_) => return Ok(false),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Err(_) => {}
            }
            let mut new = tempfile::Builder::new()
                .prefix(".tmp-cacnk")
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(beneath::link(&folder))?;
            new.write_all(&frame()?)?;
            match new.persist_noclobber(beneath::at(&folder, name)) {
                Ok(_) => Ok(true),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.error),
            }
        };
        put().map_err(|error| self.bad(id, format!("cannot be written: {error}")))
    }

    /// All that was put there is on the disk.
    pub fn sync(&self) -> Result<()> {
        let synced = rustix::fs::syncfs(&self.dir);
        synced.map_err(|error| Error::Output(self.path.clone(), error.into()))
    }

    /// Fills `into` with a chunk that has as many bytes, and no others than its id says.
    pub fn get(&self, id: &Id, digest: Digest, into: &mut [u8]) -> Result<()> {
        let most = into.len() as u64;
        let (bytes, is_frame) = match self.read(&(hex(id) + COMPRESSED), id, most + SLACK)? {
            Some(frame) => (frame, true),
            None => match self.read(&hex(id), id, most)? {
                Some(bytes) => (bytes, false),
                None => return Err(self.bad(id, "is missing".into())),
            },
        };
        let is_as_long = if !is_frame {
            let is_as_long = bytes.len() == into.len();
            if is_as_long {
                into.copy_from_slice(&bytes);
            }
            is_as_long
        } else if bytes.starts_with(&ZSTD) {
            frame::decompress(&bytes, into).is_ok_and(|len| len == into.len())
        } else {
            return Err(self.bad(id, "is compressed by something else than zstd".into()));
        };
        if !is_as_long || digest.of(into) != *id {
            return Err(self.bad(id, "is damaged: its contents are not what its id says".into()));
        }
        Ok(())
    }

    /// A file, if it is there.
    fn read(&self, name: &str, id: &Id, most: u64) -> Result<Option<Vec<u8>>> {
        let inside = Path::new(&name[..4]).join(name);
        let mut bytes = Vec::new();
        let read = beneath::file(&self.dir, &inside)
            .and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if beneath::is_gone(&error) => Ok(None),
            Err(error) => Err(self.bad(id, format!("cannot be read: {error}"))),
            Ok(_) if bytes.len() as u64 > most => {
                Err(self.bad(id, "is damaged: it is larger than the index says".into()))
            }
            Ok(_) => Ok(Some(bytes)),
        }
    }

    fn bad(&self, id: &Id, why: String) -> Error {
        Error::Castr(self.path.clone(), hex(id), why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_its_id_says() {
        let dir = tempfile::tempdir().unwrap();
        let castr = Castr::open(&dir.path().join("a.castr"), true).unwrap();
        let bytes = vec![7; 100_000];
        let digest = Digest::Sha512_256;
        let id = digest.of(&bytes);
        let frame = || frame::compress(&bytes, 3);
        let mut into = vec![0; bytes.len()];
        let get = |into: &mut [u8]| castr.get(&id, digest, into).map_err(|error| error.to_string());
        assert!(get(&mut into).unwrap_err().contains("is missing"));
        assert!(castr.put(&id, frame).unwrap());
        assert!(!castr.put(&id, frame).unwrap());
        castr.sync().unwrap();
        get(&mut into).unwrap();
        assert_eq!(into, bytes);
        // Shorter and longer than the index says.
        assert!(get(&mut into[1..]).unwrap_err().contains("damaged"));
        assert!(get(&mut vec![0; bytes.len() + 1]).unwrap_err().contains("damaged"));
        let path = dir.path().join("a.castr").join(&hex(&id)[..4]).join(hex(&id) + COMPRESSED);
        let damages = [
            (frame::compress(&[8; 100_000], 3).unwrap(), "damaged"),
            (frame::compress(&vec![7; 64 << 20], 3).unwrap(), "damaged"),
            (b"\xfd7zXZ\0".to_vec(), "else than zstd"),
            (vec![0; 300_000], "larger"),
            (Vec::new(), "else than zstd"),
        ];
        for (damaged, words) in damages {
            std::fs::write(&path, damaged).unwrap();
            let said = get(&mut into).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        // A link that leads elsewhere is none.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(get(&mut into).is_err());
        // As it is.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(path.with_extension(""), &bytes).unwrap();
        into.fill(0);
        get(&mut into).unwrap();
        assert_eq!(into, bytes);
    }
}

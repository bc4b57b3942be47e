//! What the names in a cache are made with. Under a key file they are tags that only those can make who
//! have the key, so that others who may write to the place cannot make an entry that is believed.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use statify_files::beneath;
use statify_files::trusted::{self, Way};

use crate::error::{Error, Result};

/// A key file has as many bytes at least, as would be guessed otherwise;
const LEAST: usize = 32;
/// and as many at most.
const MOST: u64 = 4096;
/// What keys are derived for (BLAKE3, `derive_key`).
const PURPOSE: &str = "statify rootfs-tools 2026-11-27 names of cache entries";

/// The key of keyed BLAKE3.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// For places to which nobody else can write: the same for everyone.
    pub fn none() -> Self {
        Self(blake3::derive_key(PURPOSE, b""))
    }

    /// From a file that others cannot read.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |source| Error::file("read", path)(source);
        let refused = |why| Error::CacheKey(path.to_owned(), why);
        let entry = trusted::entry(path, Way::Any).map_err(failed)?;
        let at = beneath::at(&entry.parent.dir, &entry.name);
        // What only the kernel can follow is what was opened for this process (/dev/fd/3).
        let file = File::open(at).map_err(failed)?;
        let stat = file.metadata().map_err(failed)?;
        let own = rustix::process::geteuid().as_raw();
        if stat.mode() & 0o027 != 0 || ![0, own].contains(&stat.uid()) {
            return Err(refused(
                "others than you may read or change it; chmod 600 it, and make another if they may have read it",
            ));
        }
        let mut bytes = Vec::new();
        file.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
        // A line of text is the same with its end and without.
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if bytes.len() < LEAST {
            return Err(refused(
                "it is shorter than 32 bytes; `openssl rand -hex 32` prints a good one",
            ));
        }
        if bytes.len() as u64 > MOST {
            return Err(refused("it is longer than 4096 bytes"));
        }
        Ok(Self(blake3::derive_key(PURPOSE, bytes)))
    }

    /// The key that entries lie under.
    pub fn key(&self, of: &str) -> String {
        self.tag(&[b"key", of.as_bytes()])
    }

    /// The name of an entry, which belongs to its key and its contents.
    pub fn entry(&self, key: &str, contents: &[u8]) -> String {
        self.tag(&[b"entry", key.as_bytes(), contents])
    }

    /// No two lists of parts are the same bytes: only the last contains NULs.
    fn tag(&self, parts: &[&[u8]]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(b"\0").update(part);
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(bytes: &[u8], mode: u32) -> Result<Secret> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        std::fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        Secret::read(file.path())
    }

    #[test]
    fn names_depend_on_everything() {
        let one = read(&[b'a'; 32], 0o600).unwrap();
        assert_eq!(one, read(&[&[b'a'; 32][..], b"\n"].concat(), 0o440).unwrap());
        let other = read(&[b'b'; 32], 0o400).unwrap();
        let names = [
            one.key("x"),
            one.key("y"),
            one.entry("x", b""),
            one.entry("x", b"y"),
            one.entry("", b"xy"),
            other.key("x"),
            Secret::none().key("x"),
        ];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert!(names.iter().all(|name| super::super::storage::is_name(name)));
    }

    #[test]
    fn keys_that_are_none() {
        assert!(read(&[b'a'; 31], 0o600).is_err());
        assert!(read(&[b'a'; 5000], 0o600).is_err());
        assert!(read(&[b'a'; 32], 0o644).is_err());
        assert!(read(&[b'a'; 32], 0o660).is_err());
    }
}

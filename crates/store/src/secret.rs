//! What names in a store can be made with. Under a key file they are tags that only those can make who have
//! the key, so that others who may write to the place cannot make a blob that is believed.

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

/// The key of keyed BLAKE3.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The one for places to which nobody else can write: the same for everyone. `context` says what it is
    /// used for (BLAKE3, `derive_key`): a sentence that stands in one program only and never changes.
    pub fn none(context: &'static str) -> Self {
        Self(blake3::derive_key(context, b""))
    }

    /// The one that follows from a file of 32 to 4096 bytes that others can neither read nor change; a
    /// newline at its end does not count. `noun` is what errors call the store ([`crate::Purpose::noun`]).
    pub fn read(path: &Path, context: &'static str, noun: &'static str) -> Result<Self> {
        let unfit = |why| Error::Key(path.to_owned(), noun, why);
        let bytes = read_private(path, noun)?;
        // A line of text is the same with its end and without.
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if bytes.len() < LEAST {
            return Err(unfit(
                "it is shorter than 32 bytes; `openssl rand -hex 32` prints a good one",
            ));
        }
        Ok(Self(blake3::derive_key(context, bytes)))
    }

    /// A tag of these parts, as 64 hexadecimal digits. Only the last part may contain NULs, so that no two
    /// lists of parts are the same bytes; the first one says what kind of thing the tag is of.
    pub fn tag(&self, parts: &[&[u8]]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(b"\0").update(part);
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// The bytes of a file of at most 4096 that others can neither read nor change. `noun` is what errors call what it is the key of.
pub fn read_private(path: &Path, noun: &'static str) -> Result<Vec<u8>> {
    let unread = |source| Error::SecretFile(path.to_owned(), source);
    let unfit = |why| Error::Key(path.to_owned(), noun, why);
    let entry = trusted::entry(path, Way::Any).map_err(unread)?;
    let at = beneath::at(&entry.parent.dir, &entry.name);
    // What only the kernel can follow is what was opened for this process (/dev/fd/3).
    let file = File::open(at).map_err(unread)?;
    let stat = file.metadata().map_err(unread)?;
    let own = rustix::process::geteuid().as_raw();
    if stat.mode() & 0o027 != 0 || ![0, own].contains(&stat.uid()) {
        return Err(unfit(
            "others than you may read or change it; chmod 600 it, and make another if they may have read it",
        ));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > MOST {
        return Err(unfit("it is longer than 4096 bytes"));
    }
    Ok(bytes)
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

    const CONTEXT: &str = "statify-store tests";

    fn read(bytes: &[u8], mode: u32) -> Result<Secret> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        std::fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        Secret::read(file.path(), CONTEXT, "test")
    }

    #[test]
    fn names_depend_on_everything() {
        let one = read(&[b'a'; 32], 0o600).unwrap();
        assert_eq!(one, read(&[&[b'a'; 32][..], b"\n"].concat(), 0o440).unwrap());
        let other = read(&[b'b'; 32], 0o400).unwrap();
        let names = [
            one.tag(&[b"key", b"x"]),
            one.tag(&[b"key", b"y"]),
            one.tag(&[b"entry", b"x", b""]),
            one.tag(&[b"entry", b"x", b"y"]),
            one.tag(&[b"entry", b"", b"xy"]),
            other.tag(&[b"key", b"x"]),
            Secret::none(CONTEXT).tag(&[b"key", b"x"]),
            Secret::none("another").tag(&[b"key", b"x"]),
        ];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert!(names.iter().all(|name| crate::storage::is_name(name)));
    }

    #[test]
    fn keys_that_are_none() {
        assert!(read(&[b'a'; 31], 0o600).is_err());
        assert!(read(&[b'a'; 5000], 0o600).is_err());
        assert!(read(&[b'a'; 32], 0o644).is_err());
        assert!(read(&[b'a'; 32], 0o660).is_err());
    }
}

//! Names in a layer that say what is not there any more (OCI image specification, layer.md,
//! "Whiteouts"). They are of what lower layers have, never of the same layer's.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::packed::archive::unpack::components;

use crate::packed::archive::unpack::remove;
use crate::tree::Tree;

/// What such names begin with.
const PREFIX: &[u8] = b".wh.";
/// What a directory has whose lower layers' contents are gone.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What names begin with that AUFS keeps for itself.
const OWN: &[u8] = b".wh..wh.";

/// What a member's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whiteout {
    /// This name of this directory is gone.
    Removed(PathBuf, OsString),
    /// All that is in this directory.
    Opaque(PathBuf),
    /// Nothing that is to be unpacked.
    Ignored,
    /// `.` or `..`, which are no names.
    Bad,
}

/// `None` if it is a member like any other.
pub fn of(name: &[u8]) -> Option<Whiteout> {
    let parts = components(name)?;
    let (last, parents) = parts.split_last()?;
    if parents.iter().any(|part| part.as_bytes().starts_with(OWN)) {
        return Some(Whiteout::Ignored);
    }
    let mut directory = PathBuf::from("/");
    directory.extend(parents);
    let gone = last.as_bytes().strip_prefix(PREFIX)?;
    Some(match last.as_bytes() {
        OPAQUE => Whiteout::Opaque(directory),
        own if own.starts_with(OWN) => Whiteout::Ignored,
        _ if matches!(gone, b"" | b"." | b"..") => Whiteout::Bad,
        _ => Whiteout::Removed(directory, OsStr::from_bytes(gone).to_owned()),
    })
}

/// Removes from the tree what a layer says is gone.
pub fn apply(tree: &Tree, whiteout: &Whiteout) -> io::Result<()> {
    let (Whiteout::Removed(path, _) | Whiteout::Opaque(path)) = whiteout else {
        return Ok(());
    };
    let directory = match tree.directory(path) {
        // Then nothing of it is there.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        other => other?,
    };
    let names = match whiteout {
        Whiteout::Removed(_, name) => vec![name.clone()],
        _ => std::fs::read_dir(directory.at("."))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()?,
    };
    for name in names {
        let path = directory.at(name);
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            stat => remove(&path, &stat?)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let removed = |dir: &str, name: &str| Some(Whiteout::Removed(dir.into(), name.into()));
        assert_eq!(of(b"a/.wh.b"), removed("/a", "b"));
        assert_eq!(of(b"./.wh.b"), removed("/", "b"));
        assert_eq!(of(b"a/.wh..wh..opq"), Some(Whiteout::Opaque("/a".into())));
        assert_eq!(of(b".wh..wh.plnk/1.2"), Some(Whiteout::Ignored));
        assert_eq!(of(b".wh..wh.aufs"), Some(Whiteout::Ignored));
        assert_eq!(of(b"a/.wh..hidden"), removed("/a", ".hidden"));
        for bad in [&b".wh."[..], b"a/.wh..", b"a/.wh..."] {
            assert_eq!(of(bad), Some(Whiteout::Bad));
        }
        assert_eq!(of(b"a/wh.b"), None);
    }
}

//! A store in a directory: the files `FOLDER/NAME` and `FOLDER/WITHIN/NAME`, which appear by rename(2). It is
//! opened once, as nobody else may put another in its place.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use statify_files::beneath;
use statify_files::trusted::{self, Place};

use crate::error::{Error, Result};
use crate::purpose::Purpose;
use crate::storage::{Folder, Storage, is_name};

/// A directory into which nobody else can put anything.
#[derive(Debug)]
pub(crate) struct Directory {
    /// The folders at the top, by name.
    folders: Vec<(&'static str, File)>,
}

impl Directory {
    /// Opens it, or makes it.
    pub(crate) fn open(dir: &Path, purpose: &Purpose) -> Result<Self> {
        let open = || -> io::Result<Self> {
            let place = trusted::own_directory(dir, true)?;
            let folders = purpose.folders.iter().map(|&name| Ok((name, own(&place, name)?)));
            Ok(Self { folders: folders.collect::<io::Result<_>>()? })
        };
        open().map_err(|source| Error::Directory {
            path: dir.to_owned(),
            noun: purpose.noun,
            stake: purpose.stake,
            source,
        })
    }

    fn top(&self, folder: Folder<'_>) -> io::Result<&File> {
        let found = self.folders.iter().find(|(name, _)| *name == folder.top);
        Ok(&found.ok_or(io::ErrorKind::NotFound)?.1)
    }

    fn folder(&self, folder: Folder<'_>) -> io::Result<File> {
        let top = self.top(folder)?;
        match folder.within {
            Some(name) => beneath::directory(top, Path::new(name)),
            None => top.try_clone(),
        }
    }
}

fn own(place: &Place, name: &str) -> io::Result<File> {
    let dir = beneath::make_directory(&place.dir, OsStr::new(name))?;
    let stat = dir.metadata()?;
    if trusted::is_ours(&stat) && !trusted::others_write(&stat) {
        return Ok(dir);
    }
    let path = place.path.join(name);
    Err(io::Error::other(format!("{}: others than you may write to it", path.display())))
}

impl Storage for Directory {
    fn list(&self, folder: Folder<'_>, most: usize) -> io::Result<Vec<String>> {
        // Open for as long as its entries are read by its link.
        let dir = self.folder(folder)?;
        let entries = std::fs::read_dir(beneath::link(&dir))?;
        let names = entries.filter_map(io::Result::ok);
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| is_name(name)).take(most).collect())
    }

    fn get(&self, folder: Folder<'_>, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = beneath::file(&self.folder(folder)?, Path::new(name))?;
        statify_elf::holes::check_holes(&file)?;
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn size(&self, folder: Folder<'_>, name: &str) -> io::Result<Option<u64>> {
        let found = self.folder(folder).and_then(|dir| beneath::file(&dir, Path::new(name)));
        match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => Ok(Some(other?.metadata()?.len())),
        }
    }

    fn put(&self, folder: Folder<'_>, name: &str, bytes: &[u8]) -> io::Result<()> {
        let top = self.top(folder)?;
        let dir = match folder.within {
            Some(name) => beneath::make_directory(top, OsStr::new(name))?,
            None => top.try_clone()?,
        };
        // Until it is on the disk it has another name, at the top, where no folder's list shows it.
        let mut new = tempfile::NamedTempFile::new_in(beneath::link(top))?;
        new.write_all(bytes)?;
        new.as_file().sync_data()?;
        new.persist(beneath::at(&dir, name))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: Purpose =
        Purpose { noun: "test", stake: "it is one", agent: "test", folders: &["a", "b"] };

    #[test]
    fn what_is_put_there_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Directory::open(dir.path(), &PURPOSE).unwrap();
        let name = "0f".repeat(32);
        let folder = Folder::top("a");
        for folder in [folder, folder.within("c")] {
            assert_eq!(store.size(folder, &name).unwrap(), None);
            let missing = store.get(folder, &name, 9).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            store.put(folder, &name, b"first").unwrap();
            store.put(folder, &name, b"second").unwrap();
            assert_eq!(store.size(folder, &name).unwrap(), Some(6));
            assert_eq!(store.get(folder, &name, 3).unwrap(), b"sec");
            assert_eq!(store.list(folder, 9).unwrap(), std::slice::from_ref(&name));
            assert!(store.list(folder, 0).unwrap().is_empty());
        }
        assert!(store.list(Folder::top("b"), 9).unwrap().is_empty());
        assert!(store.list(Folder::top("none"), 9).is_err());
        let path = dir.path().join("a/c").join(&name);
        assert_eq!(std::fs::read(path).unwrap(), b"second");
    }
}

//! A store in a directory: the files `FOLDER/NAME` and `FOLDER/WITHIN/NAME`, which appear by rename(2). It is
//! opened once, as nobody else may put another in its place.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use statify_files::beneath;
use statify_files::trusted::{self, Place};

use crate::error::{Error, Result};
use crate::purpose::Purpose;
use crate::storage::{Folder, Storage, is_name};

/// How the names of files begin that are being written.
const NEW: &str = ".new-";
/// Nobody writes one for so long.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

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
            let folders = purpose.folders.iter().map(|&name| {
                let folder = own(&place, name)?;
                forget(&folder)?;
                Ok((name, folder))
            });
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

    /// A new file of these bytes, which are on the disk, and the directory that it belongs into. Until it is given its name it
    /// lies at the top, where no folder's list shows it.
    fn written(
        &self,
        folder: Folder<'_>,
        bytes: &[u8],
    ) -> io::Result<(tempfile::NamedTempFile, File)> {
        let top = self.top(folder)?;
        let dir = match folder.within {
            Some(name) => beneath::make_directory(top, OsStr::new(name))?,
            None => top.try_clone()?,
        };
        let mut new = tempfile::Builder::new().prefix(NEW).tempfile_in(beneath::link(top))?;
        new.write_all(bytes)?;
        new.as_file().sync_data()?;
        Ok((new, dir))
    }

    fn folder(&self, folder: Folder<'_>) -> io::Result<File> {
        let top = self.top(folder)?;
        match folder.within {
            Some(name) => beneath::directory(top, Path::new(name)),
            None => top.try_clone(),
        }
    }
}

/// Removes what somebody began to write and never finished.
fn forget(folder: &File) -> io::Result<()> {
    for entry in std::fs::read_dir(beneath::link(folder))? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(NEW.as_bytes()) {
            continue;
        }
        // Gone meanwhile, or given its name.
        let Ok(file) = beneath::file(folder, Path::new(&name)) else { continue };
        let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > FORGOTTEN {
            let _ = beneath::remove_file(folder, &name);
        }
    }
    Ok(())
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

    fn get_range(
        &self,
        folder: Folder<'_>,
        name: &str,
        offset: u64,
        len: u64,
    ) -> io::Result<Vec<u8>> {
        let mut file = beneath::file(&self.folder(folder)?, Path::new(name))?;
        let there = file.metadata()?.len().saturating_sub(offset);
        let mut bytes = Vec::with_capacity(len.min(there) as usize);
        file.seek(SeekFrom::Start(offset))?;
        file.take(len).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn put(&self, folder: Folder<'_>, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (new, dir) = self.written(folder, bytes)?;
        new.persist(beneath::at(&dir, name))?;
        Ok(())
    }

    fn put_new(&self, folder: Folder<'_>, name: &str, bytes: &[u8]) -> io::Result<bool> {
        // What is there is not written first, in vain.
        if self.size(folder, name)?.is_some() {
            return Ok(false);
        }
        let (new, dir) = self.written(folder, bytes)?;
        match new.persist_noclobber(beneath::at(&dir, name)) {
            Ok(_) => dir.sync_all().map(|()| true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    }

    fn remove(&self, folder: Folder<'_>, name: &str) -> io::Result<()> {
        let removed = self.folder(folder);
        match removed.and_then(|dir| beneath::remove_file(&dir, OsStr::new(name))) {
            Err(error) if beneath::is_gone(&error) => Ok(()),
            other => other,
        }
    }

    fn modified(&self, folder: Folder<'_>, name: &str) -> io::Result<Option<SystemTime>> {
        let found = self.folder(folder).and_then(|dir| beneath::file(&dir, Path::new(name)));
        match found {
            Err(error) if beneath::is_gone(&error) => Ok(None),
            other => other?.metadata()?.modified().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: Purpose = Purpose {
        noun: "test",
        stake: "it is one",
        agent: "test",
        saves_time: true,
        folders: &["a", "b"],
    };

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
        let folder = Folder::top("b");
        assert!(store.put_new(folder, &name, b"one").unwrap());
        assert!(!store.put_new(folder, &name, b"other").unwrap());
        for (offset, len, bytes) in [(0, 9, &b"one"[..]), (1, 1, b"n"), (3, 1, b""), (9, 1, b"")] {
            assert_eq!(store.get_range(folder, &name, offset, len).unwrap(), bytes);
        }
        let age = store.modified(folder, &name).unwrap().unwrap().elapsed().unwrap_or_default();
        assert!(age.as_secs() < 60, "{age:?}");
        store.remove(folder, &name).unwrap();
        store.remove(folder, &name).unwrap();
        assert_eq!(store.modified(folder, &name).unwrap(), None);
        let path = dir.path().join("a/c").join(&name);
        assert_eq!(std::fs::read(path).unwrap(), b"second");
    }
}

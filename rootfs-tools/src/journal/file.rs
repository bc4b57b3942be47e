//! A journal's file: read, begun, appended to, removed.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use statify_files::beneath;

use super::chain::{self, Damage, Parsed, VERSION};
use super::record::Record;
use crate::error::{Error, Result};
use crate::tree::{JOURNAL, STATE, Tree};

/// A journal is smaller, in bytes.
const MOST: u64 = 256 << 20;

/// A journal, open for more.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    chain: [u8; 32],
}

/// Where the journal of a tree is, as it is shown.
fn path_in(root: &Path) -> PathBuf {
    root.join(STATE).join(JOURNAL)
}

/// Reads the journal of a tree.
pub fn read(tree: &Tree) -> Result<Vec<Record>> {
    let path = path_in(&tree.path);
    let state = match beneath::directory(tree.top()?.file(), Path::new(STATE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(other.map_err(Error::file("read", &path))?),
    };
    let found =
        state.map(|state| read_in(&state, OsStr::new(JOURNAL), &path)).transpose()?.flatten();
    found.ok_or_else(|| Error::NoJournal(tree.path.clone()))
}

/// Reads the journal `name` of a directory, which is shown as `path`, if there is one.
pub(crate) fn read_in(dir: &File, name: &OsStr, path: &Path) -> Result<Option<Vec<Record>>> {
    match beneath::file(dir, Path::new(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => {
            let file = other.map_err(Error::file("read", path))?;
            Ok(Some(load(path, &file)?.records))
        }
    }
}

fn load(path: &Path, file: &File) -> Result<Parsed> {
    statify_elf::holes::check_holes(file).map_err(Error::file("read", path))?;
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    if bytes.len() as u64 > MOST {
        let larger = io::Error::other("it is larger than any journal");
        return Err(Error::file("read", path)(larger));
    }
    chain::parse(&bytes).map_err(|damage| match damage {
        Damage::Line(line) => Error::JournalDamaged(path.to_owned(), line),
        Damage::Version(version) => Error::JournalVersion(path.to_owned(), version, VERSION),
    })
}

impl Journal {
    /// Opens the journal of a tree, or begins it. Returns what it says.
    pub fn open(tree: &Tree) -> Result<(Self, Vec<Record>)> {
        let top = tree.top()?;
        let shown = tree.path.join(STATE);
        let made = beneath::make_directory(top.file(), OsStr::new(STATE)).and_then(|state| {
            state.set_permissions(Permissions::from_mode(0o700))?;
            Ok(state)
        });
        let state = made.map_err(Error::file("written", &shown))?;
        let opened = Self::open_in(&state, OsStr::new(JOURNAL), &path_in(&tree.path))?;
        top.sync().map_err(|error| opened.0.stopped(error))?;
        Ok(opened)
    }

    /// Opens the journal `name` of a directory, which is shown as `path`, or begins it.
    pub(crate) fn open_in(dir: &File, name: &OsStr, path: &Path) -> Result<(Self, Vec<Record>)> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
        let file = beneath::open(dir, Path::new(name), flags);
        let file = file.map_err(Error::file("written", path))?;
        if !file.metadata().map_err(Error::file("read", path))?.is_file() {
            return Err(Error::file("written", path)(io::Error::other("it is no file")));
        }
        let parsed = load(path, &file)?;
        let mut journal =
            Self { path: path.to_owned(), file, len: parsed.len as u64, chain: parsed.chain };
        let ready = journal.begin().and_then(|()| dir.sync_all());
        ready.map_err(|error| journal.stopped(error))?;
        Ok((journal, parsed.records))
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        if self.len == 0 {
            let first = chain::first_line();
            self.file.write_all(first.as_bytes())?;
            self.len = first.len() as u64;
        }
        self.file.sync_all()
    }

    /// Adds records. They are on the disk when this returns.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut bytes = Vec::new();
        let mut chain = self.chain;
        for record in records {
            let (line, next) = chain::line(&chain, record);
            bytes.extend(line);
            chain = next;
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What is half-written would be damage once something came behind it.
            let _ = self.file.set_len(self.len);
            return Err(self.stopped(error));
        }
        self.chain = chain;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn stopped(&self, source: io::Error) -> Error {
        Error::Stopped { path: self.path.clone(), source }
    }
}

/// Removes the journal of a tree and its directory: nothing is to be known any more.
pub fn remove(tree: &Tree) -> Result<()> {
    let top = tree.top()?;
    let (path, shown) = (path_in(&tree.path), tree.path.join(STATE));
    let state = beneath::directory(top.file(), Path::new(STATE));
    let state = state.map_err(Error::file("removed", &path))?;
    beneath::remove_file(&state, OsStr::new(JOURNAL)).map_err(Error::file("removed", &path))?;
    let removed = beneath::remove_directory(top.file(), OsStr::new(STATE));
    removed.map_err(Error::file("removed", &shown))?;
    top.sync().map_err(Error::file("written", &tree.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_behind_what_a_crash_left() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let (mut journal, _) = Journal::open(&tree).unwrap();
        journal.append(&[Record::Replaced { id: 1 }]).unwrap();
        let mut bytes = std::fs::read(path_in(dir.path())).unwrap();
        bytes.extend(b"0123456 {\"rec");
        std::fs::write(path_in(dir.path()), &bytes).unwrap();
        let (mut journal, records) = Journal::open(&tree).unwrap();
        assert_eq!(records, [Record::Replaced { id: 1 }]);
        journal.append(&[Record::Replaced { id: 2 }]).unwrap();
        let records = read(&tree).unwrap();
        assert_eq!(records, [Record::Replaced { id: 1 }, Record::Replaced { id: 2 }]);
    }
}

//! The journal: what was done to a tree, in the order it was done; appended to and flushed before the
//! tree is changed, so that after any end a second run and [`crate::restore`] know what to look for.
//!
//! The tree's own is the word of whoever can write to the tree: it says where to look, and nothing that it
//! says leads out of the tree. What lies outside is told by the journal there ([`crate::ledger`]).
//!
//! A text file. The first line says the version; every other one is 32 hexadecimal digits, a blank
//! and a record in JSON. The digits are the first half of the SHA-256 of the previous line's hash
//! (the first line's own is the SHA-256 of the line) and the JSON, so that a line that is changed,
//! missing or in another place is found. What a crash leaves half-written at the end is left out.

pub mod record;

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use statify_files::beneath;
use statify_format::manifest::hex;

use crate::error::{Error, Result};
use crate::tree::{STATE, Tree};
use record::Record;

/// Of the format. The first one had no numbers of runs, and nothing outside of the tree that vouched for it.
pub const VERSION: u64 = 2;
/// The journal's name in it.
pub const NAME: &str = "journal";
/// What the first line begins with.
const TITLE: &str = "rootfs-tools journal ";
/// A journal is smaller, in bytes,
const MOST: u64 = 256 << 20;
/// and has fewer lines: those of a tree of half a million programs.
const MOST_LINES: usize = 1 << 20;
/// Of a line's checksum, in digits.
const DIGITS: usize = 32;

/// What a journal's bytes say.
#[derive(Debug)]
pub struct Parsed {
    /// In order.
    pub records: Vec<Record>,
    /// How many bytes hold them; behind is what a crash left.
    pub len: usize,
    /// The hash that the next line goes on from.
    chain: [u8; 32],
}

/// Why bytes are no journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// This line, from 1 on, is not as it was written.
    Line(usize),
    /// Another version.
    Version(u64),
}

fn first_line() -> String {
    format!("{TITLE}{VERSION}\n")
}

fn link(chain: &[u8; 32], json: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(chain).chain_update(json).finalize().into()
}

/// Reads a journal.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Damage> {
    let first = first_line();
    let chain: [u8; 32] = Sha256::digest(first.as_bytes()).into();
    if !bytes.starts_with(first.as_bytes()) {
        let zeros = bytes.iter().all(|&byte| byte == 0);
        if zeros || first.as_bytes().starts_with(bytes) {
            return Ok(Parsed { records: Vec::new(), len: 0, chain });
        }
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let version = line.strip_prefix(TITLE.as_bytes());
        let version = version.and_then(|version| std::str::from_utf8(version).ok()?.parse().ok());
        return Err(version.map_or(Damage::Line(1), Damage::Version));
    }
    let mut parsed = Parsed { records: Vec::new(), len: first.len(), chain };
    let mut rest = &bytes[first.len()..];
    while !rest.is_empty() && !is_torn(rest) {
        let damage = Damage::Line(parsed.records.len() + 2);
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or(damage)?;
        let (sum, json) = rest[..end].split_at_checked(DIGITS + 1).ok_or(damage)?;
        let chain = link(&parsed.chain, json);
        if sum[DIGITS] != b' ' || sum[..DIGITS] != *hex(&chain[..DIGITS / 2]).as_bytes() {
            return Err(damage);
        }
        let record: Record = serde_json::from_slice(json).map_err(|_| damage)?;
        if !record.makes_sense() || parsed.records.len() == MOST_LINES {
            return Err(damage);
        }
        parsed.records.push(record);
        parsed.chain = chain;
        parsed.len += end + 1;
        rest = &rest[end + 1..];
    }
    Ok(parsed)
}

/// Whether a crash can have left this behind the last line: a beginning, or blocks not yet written.
fn is_torn(rest: &[u8]) -> bool {
    !rest.contains(&b'\n') || rest.iter().all(|&byte| byte == 0)
}

/// A journal, open for more.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    chain: [u8; 32],
}

/// Where the journal of a tree is, as it is shown.
fn path_in(root: &Path) -> PathBuf {
    root.join(STATE).join(NAME)
}

/// Reads the journal of a tree.
pub fn read(tree: &Tree) -> Result<Vec<Record>> {
    let path = path_in(&tree.path);
    let state = match beneath::directory(tree.top()?.file(), Path::new(STATE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(other.map_err(Error::file("read", &path))?),
    };
    let found = state.map(|state| read_in(&state, OsStr::new(NAME), &path)).transpose()?.flatten();
    found.ok_or_else(|| Error::NoJournal(tree.path.clone()))
}

/// Reads the journal `name` of a directory, which is shown as `path`, if there is one.
pub fn read_in(dir: &File, name: &OsStr, path: &Path) -> Result<Option<Vec<Record>>> {
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
    parse(&bytes).map_err(|damage| match damage {
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
        let opened = Self::open_in(&state, OsStr::new(NAME), &path_in(&tree.path))?;
        top.sync().map_err(|error| opened.0.failed(error))?;
        Ok(opened)
    }

    /// Opens the journal `name` of a directory, which is shown as `path`, or begins it.
    pub fn open_in(dir: &File, name: &OsStr, path: &Path) -> Result<(Self, Vec<Record>)> {
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
        ready.map_err(|error| journal.failed(error))?;
        Ok((journal, parsed.records))
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        if self.len == 0 {
            let first = first_line();
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
            let json = serde_json::to_vec(record).expect("strings and numbers only");
            chain = link(&chain, &json);
            bytes.extend(hex(&chain[..DIGITS / 2]).bytes());
            bytes.push(b' ');
            bytes.extend(json);
            bytes.push(b'\n');
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What is half-written would be damage once something came behind it.
            let _ = self.file.set_len(self.len);
            return Err(self.failed(error));
        }
        self.chain = chain;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Stopped { path: self.path.clone(), source }
    }
}

/// Removes the journal of a tree and its directory: nothing is to be known any more.
pub fn remove(tree: &Tree) -> Result<()> {
    let top = tree.top()?;
    let (path, shown) = (path_in(&tree.path), tree.path.join(STATE));
    let state = beneath::directory(top.file(), Path::new(STATE));
    let state = state.map_err(Error::file("removed", &path))?;
    beneath::remove_file(&state, OsStr::new(NAME)).map_err(Error::file("removed", &path))?;
    let removed = beneath::remove_directory(top.file(), OsStr::new(STATE));
    removed.map_err(Error::file("removed", &shown))?;
    top.sync().map_err(Error::file("written", &tree.path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(count: u64) -> (Vec<Record>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let records: Vec<_> = (0..count).map(|id| Record::Replaced { id }).collect();
        let (mut journal, before) = Journal::open(&Tree::open(dir.path()).unwrap()).unwrap();
        assert!(before.is_empty());
        for some in records.chunks(2) {
            journal.append(some).unwrap();
        }
        (records, std::fs::read(path_in(dir.path())).unwrap())
    }

    #[test]
    fn what_was_written_is_read() {
        let (records, bytes) = sample(5);
        let parsed = parse(&bytes).unwrap();
        assert_eq!((parsed.records, parsed.len), (records, bytes.len()));
    }

    #[test]
    fn a_crash_takes_the_last_records_at_most() {
        let (records, bytes) = sample(5);
        for len in 0..bytes.len() {
            let parsed = parse(&bytes[..len]).unwrap();
            assert_eq!(parsed.records, records[..parsed.records.len()]);
            assert!(parsed.len <= len);
            let mut zeros = bytes[..parsed.len].to_vec();
            zeros.resize(bytes.len(), 0);
            assert_eq!(parse(&zeros).unwrap().records.len(), parsed.records.len());
        }
    }

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

    #[test]
    fn what_makes_no_sense_is_damage() {
        let (_, good) = sample(0);
        let begin = r#"{"record":"begin","id":"ID","version":"","fixed":false,"align":1,"preserve_privileges":false,"tree":"/t","source":null,"backup":"/b","image":{"files":0,"apparent":0,"allocated":0}}"#;
        let begin = begin.replace("ID", &"0a".repeat(16));
        let replace = r#"{"record":"replace","id":1,"names":["/a"],"original":{"size":1,"allocated":1,"sha256":"00"},"converted":{"size":1,"allocated":1,"build_id":"00","shared":0,"cached":false,"files":[]},"kept":"a"}"#;
        let line = |json: &str| {
            let chain: [u8; 32] = Sha256::digest(first_line()).into();
            let sum = hex(&link(&chain, json.as_bytes())[..DIGITS / 2]);
            [&good[..], format!("{sum} {json}\n").as_bytes()].concat()
        };
        assert!(parse(&line(&begin)).is_ok() && parse(&line(replace)).is_ok());
        for (old, new) in [
            ("\"0a0a", "\"../a"),
            ("\"/t\"", "\"t\""),
            ("\"/b\"", "\"/../b\""),
            ("\"align\":1", "\"align\":-1"),
        ] {
            assert!(begin.contains(old), "{old}");
            let bad = line(&begin.replace(old, new));
            assert_eq!(parse(&bad).unwrap_err(), Damage::Line(2), "{new}");
        }
        for (old, new) in [
            ("[\"/a\"]", "[]"),
            ("[\"/a\"]", "[\"\"]"),
            ("[\"/a\"]", "[\"/\"]"),
            ("[\"/a\"]", "[\"a\"]"),
            ("[\"/a\"]", "[\"/a/../../b\"]"),
            ("[\"/a\"]", r#"["/a\\x00b"]"#),
            ("\"id\":1", "\"id\":18446744073709551615"),
            ("\"kept\":\"a\"", "\"kept\":\"../a\""),
            ("\"kept\":\"a\"", "\"kept\":\"\""),
        ] {
            assert!(replace.contains(old), "{old}");
            let bad = line(&replace.replace(old, new));
            assert_eq!(parse(&bad).unwrap_err(), Damage::Line(2), "{new}");
        }
    }

    #[test]
    fn another_version_is_said_to_be_one() {
        assert_eq!(parse(b"rootfs-tools journal 7\nxyz\n").unwrap_err(), Damage::Version(7));
        assert_eq!(parse(b"something\nelse\n").unwrap_err(), Damage::Line(1));
    }

    proptest! {
        #[test]
        fn a_change_within_is_found(at in 0usize..1000, flip in 1u8..=255) {
            let (_, mut bytes) = sample(4);
            // The last newline alone may be missing.
            let at = at % (bytes.len() - 1);
            bytes[at] ^= flip;
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), whole in any::<bool>()) {
            let mut input = if whole { sample(1).1 } else { Vec::new() };
            input.extend(bytes);
            let _ = parse(&input);
        }
    }
}

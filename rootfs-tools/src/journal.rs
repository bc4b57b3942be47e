//! The journal: what was done to a tree, in the order it was done; appended to and flushed before the
//! tree is changed, so that after any end a second run and [`crate::restore`] know what to look for.
//!
//! A text file. The first line says the version; every other one is 32 hexadecimal digits, a blank
//! and a record in JSON. The digits are the first half of the SHA-256 of the previous line's hash
//! (the first line's own is the SHA-256 of the line) and the JSON, so that a line that is changed,
//! missing or in another place is found. What a crash leaves half-written at the end is left out.

pub mod record;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use statify::manifest::hex;

use crate::error::{Error, Result};
use record::Record;

/// Of the format.
pub const VERSION: u64 = 1;
/// The directory in a tree that holds its journal.
pub const STATE: &str = ".rootfs-tools";
/// The journal's name in it.
pub const NAME: &str = "journal";
/// What the first line begins with.
const TITLE: &str = "rootfs-tools journal ";
/// A journal of a tree of a million programs is smaller.
const MOST: u64 = 4 << 30;
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
        parsed.records.push(serde_json::from_slice(json).map_err(|_| damage)?);
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

/// A tree's journal, open for more.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    chain: [u8; 32],
}

/// Where the journal of a tree is.
pub fn path_in(root: &Path) -> PathBuf {
    root.join(STATE).join(NAME)
}

/// Reads the journal of the tree `root`.
pub fn read(root: &Path) -> Result<Vec<Record>> {
    let path = path_in(root);
    let file = match open_plain(&path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoJournal(root.to_owned()));
        }
        other => other.map_err(Error::file("read", &path))?,
    };
    Ok(load(&path, &file)?.records)
}

/// Neither through a link nor anything but a file.
fn open_plain(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn load(path: &Path, file: &File) -> Result<Parsed> {
    statify::holes::check_holes(file).map_err(Error::file("read", path))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    parse(&bytes).map_err(|damage| match damage {
        Damage::Line(line) => Error::JournalDamaged(path.to_owned(), line),
        Damage::Version(version) => Error::JournalVersion(path.to_owned(), version),
    })
}

impl Journal {
    /// Opens the journal of the tree `root`, or begins it. Returns what it says.
    pub fn open(root: &Path) -> Result<(Self, Vec<Record>)> {
        let state = root.join(STATE);
        let denied = |source| Error::File { path: state.clone(), what: "written", source };
        match std::fs::create_dir(&state) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(denied)?,
        }
        let found = std::fs::symlink_metadata(&state).map_err(denied)?;
        if !found.is_dir() {
            return Err(denied(io::Error::from_raw_os_error(libc::ENOTDIR)));
        }
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).map_err(denied)?;
        let path = path_in(root);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = open_plain(&path, &mut options).map_err(Error::file("written", &path))?;
        let parsed = load(&path, &file)?;
        let mut journal = Self { path, file, len: parsed.len as u64, chain: parsed.chain };
        let ready = journal.begin().and_then(|()| sync_directory(&state));
        ready.and_then(|()| sync_directory(root)).map_err(|error| journal.failed(error))?;
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

/// Removes the journal of `root` and its directory: nothing is to be known any more.
pub fn remove(root: &Path) -> Result<()> {
    let path = path_in(root);
    std::fs::remove_file(&path).map_err(Error::file("removed", &path))?;
    let state = root.join(STATE);
    std::fs::remove_dir(&state).map_err(Error::file("removed", &state))?;
    sync_directory(root).map_err(Error::file("written", root))
}

/// Makes names in a directory last.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(count: u64) -> (Vec<Record>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let records: Vec<_> = (0..count).map(|id| Record::Replaced { id }).collect();
        let (mut journal, before) = Journal::open(dir.path()).unwrap();
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
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&[Record::Replaced { id: 1 }]).unwrap();
        let mut bytes = std::fs::read(path_in(dir.path())).unwrap();
        bytes.extend(b"0123456 {\"rec");
        std::fs::write(path_in(dir.path()), &bytes).unwrap();
        let (mut journal, records) = Journal::open(dir.path()).unwrap();
        assert_eq!(records, [Record::Replaced { id: 1 }]);
        journal.append(&[Record::Replaced { id: 2 }]).unwrap();
        let records = read(dir.path()).unwrap();
        assert_eq!(records, [Record::Replaced { id: 1 }, Record::Replaced { id: 2 }]);
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

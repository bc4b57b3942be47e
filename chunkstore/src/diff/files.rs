//! Which files of two images differ. Both trees are walked side by side: what is in memory are the directories on the way, and
//! the names that are told.

use std::cmp::Ordering;
use std::sync::Arc;

use super::file_system::{Contents, Entry, FileSystem, Kind};
use super::reader::Reader;
use super::{erofs, ext4};

/// No directory lies in more others, so that no tree goes on for ever.
const DEEPEST: usize = 512;
/// No image has more names: directories that contain themselves have.
const MOST_NAMES: u64 = 1 << 22;
/// Files are compared up to so many times the bytes of both images. What a file says that it has may be holes, any number of them.
const MOST_READ: u64 = 16;
/// Files are compared in pieces of so many bytes.
const PIECE: usize = 256 << 10;

/// Which files differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Files {
    /// How many only the second image has.
    pub added: u64,
    /// How many only the first has.
    pub removed: u64,
    /// How many both have that are not the same.
    pub changed: u64,
    /// The first of each kind, sorted by path.
    pub changes: Vec<Change>,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Change {
    /// Its path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// How.
    pub what: What,
}

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Only the second image has it.
    Added,
    /// Only the first has it.
    Removed,
    /// It has other contents, or leads elsewhere, or is something else.
    Contents,
    /// Only its owner or its permissions are others.
    Attributes,
    /// It is as long as before, but so long that its contents were not compared.
    TooLong,
}

/// Compares the files of two images. Of those that were added, removed and changed the first `most` each are named.
pub fn files(first: &Arc<Reader>, second: &Arc<Reader>, most: usize) -> Result<Files, String> {
    let open = |image: &Arc<Reader>, which: &str| {
        file_system(image).map_err(|why| format!("the {which} image is {why}"))
    };
    let most_bytes = first.len().saturating_add(second.len()).saturating_mul(MOST_READ);
    let (first, second) = (open(first, "first")?, open(second, "second")?);
    let mut walk = Walk {
        first: &*first,
        second: &*second,
        most,
        names: 0,
        bytes: 0,
        most_bytes,
        files: Files::default(),
        buffers: [vec![0; PIECE], vec![0; PIECE]],
    };
    walk.directory(&mut b"/".to_vec(), [true, true])?;
    walk.files.changes.sort();
    Ok(walk.files)
}

/// The file system of an image.
fn file_system(image: &Arc<Reader>) -> Result<Box<dyn FileSystem>, String> {
    // The superblock of both lies here.
    let mut block = [0; 1024];
    if image.read_exact_at(&mut block, 1024).is_err() {
        return Err("too small for a file system".into());
    }
    if erofs::is_one(&block) {
        return Ok(Box::new(erofs::Erofs::open(image.clone())?));
    }
    if ext4::is_one(&block) {
        return Ok(Box::new(ext4::Ext4::open(image.clone())?));
    }
    Err("neither ext4 nor EROFS (partitions are not looked for)".into())
}

struct Walk<'a> {
    first: &'a dyn FileSystem,
    second: &'a dyn FileSystem,
    most: usize,
    /// How many were seen.
    names: u64,
    /// How many bytes of files were compared, and how many may be.
    bytes: u64,
    most_bytes: u64,
    files: Files,
    buffers: [Vec<u8>; 2],
}

impl Walk<'_> {
    /// A directory that the first image has, or the second, or both.
    fn directory(
        &mut self,
        path: &mut Vec<u8>,
        [in_first, in_second]: [bool; 2],
    ) -> Result<(), String> {
        if path.iter().filter(|byte| **byte == b'/').count() > DEEPEST {
            return Err("directories are in one another without an end".into());
        }
        let entries = |from: &dyn FileSystem, is_there: bool| match is_there {
            true => from.entries(path),
            false => Ok(Vec::new()),
        };
        let first =
            entries(self.first, in_first).map_err(|why| format!("the first image is {why}"))?;
        let second =
            entries(self.second, in_second).map_err(|why| format!("the second image is {why}"))?;
        let (mut ours, mut theirs) = (first.iter().peekable(), second.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (Some(one), Some(other)) => one.name.cmp(&other.name),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(()),
            };
            let one = ours.next_if(|_| order.is_le());
            let other = theirs.next_if(|_| order.is_ge());
            let name = one.or(other).map_or(&[][..], |entry| &entry.name);
            self.names += 1;
            if self.names > MOST_NAMES {
                return Err(format!("more than {MOST_NAMES} names are not compared"));
            }
            let before = path.len();
            if path.last() != Some(&b'/') {
                path.push(b'/');
            }
            path.extend(name);
            self.entry(path, one, other)?;
            path.truncate(before);
        }
    }

    /// A name that one of them has, or both.
    fn entry(
        &mut self,
        path: &mut Vec<u8>,
        one: Option<&Entry>,
        other: Option<&Entry>,
    ) -> Result<(), String> {
        let is_directory =
            |entry: Option<&Entry>| entry.is_some_and(|entry| entry.kind == Kind::Directory);
        match (one, other) {
            (None, _) => self.tell(path, What::Added),
            (_, None) => self.tell(path, What::Removed),
            (Some(one), Some(other)) => {
                if one.kind != other.kind || one.kind == Kind::File && one.len != other.len {
                    self.tell(path, What::Contents);
                } else if one.kind == Kind::File
                    && self.bytes.saturating_add(one.len) > self.most_bytes
                {
                    self.tell(path, What::TooLong);
                } else if !self.is_same(path, one, other)? {
                    self.tell(path, What::Contents);
                } else if (one.mode, one.owner) != (other.mode, other.owner) {
                    self.tell(path, What::Attributes);
                }
            }
        }
        match [is_directory(one), is_directory(other)] {
            [false, false] => Ok(()),
            which => self.directory(path, which),
        }
    }

    /// Whether what is of one kind, and of one length, has the same contents.
    fn is_same(&mut self, path: &[u8], one: &Entry, other: &Entry) -> Result<bool, String> {
        match one.kind {
            Kind::File => {
                self.bytes += one.len;
                let [first, second] = &mut self.buffers;
                let ours = self.first.open(path, one)?;
                is_equal(ours, first, self.second.open(path, other)?, second)
            }
            Kind::Link => Ok(self.first.target(path, one)? == self.second.target(path, other)?),
            _ => Ok(true),
        }
    }

    fn tell(&mut self, path: &[u8], what: What) {
        let count = match what {
            What::Added => &mut self.files.added,
            What::Removed => &mut self.files.removed,
            What::Contents | What::Attributes | What::TooLong => &mut self.files.changed,
        };
        *count += 1;
        if *count <= self.most as u64 {
            let path = String::from_utf8_lossy(path).into_owned();
            self.files.changes.push(Change { path, what });
        }
    }
}

fn is_equal(
    mut first: Contents<'_>,
    ours: &mut [u8],
    mut second: Contents<'_>,
    theirs: &mut [u8],
) -> Result<bool, String> {
    loop {
        let (one, other) = (fill(&mut first, ours)?, fill(&mut second, theirs)?);
        if ours[..one] != theirs[..other] {
            return Ok(false);
        }
        if one < ours.len() {
            return Ok(true);
        }
    }
}

/// As much as there is, or as has room.
fn fill(contents: &mut Contents<'_>, into: &mut [u8]) -> Result<usize, String> {
    let mut len = 0;
    while len < into.len() {
        match contents(&mut into[len..])? {
            0 => break,
            more => len += more,
        }
    }
    Ok(len)
}

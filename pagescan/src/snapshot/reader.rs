//! Reads snapshots back, a record at a time: memory for a section is all that it takes, whatever a file claims.

use std::io::{self, Read};
use std::vec;

use xxhash_rust::xxh3::xxh3_64;

use super::record::Record;
use super::writer::{MAGIC, MOST_SECTION};

/// Why a file is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("it is no snapshot of pagescan")]
    Kind,
    /// It ends too early.
    #[error("it is cut off; the snapshot did not come to its end, or not all of it was copied")]
    CutOff,
    /// A checksum or an encoding is wrong.
    #[error("it is damaged at byte {0}")]
    Section(u64),
    /// What its records say cannot be.
    #[error("it is damaged: {0}")]
    Nonsense(&'static str),
    /// It would take far more memory than a snapshot of its size does.
    #[error("it is damaged: it claims far more than a file of its size can hold")]
    TooLarge,
}

/// Reads the records of a file, one after the other.
pub struct Reader<R> {
    input: R,
    at: u64,
    records: vec::IntoIter<Record>,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// Begins with a file.
    pub fn new(mut input: R) -> Result<Self, Damage> {
        let mut magic = [0; MAGIC.len()];
        match fill(&mut input, &mut magic)? {
            Filled::All if magic == *MAGIC => {}
            _ => return Err(Damage::Kind),
        }
        let at = MAGIC.len() as u64;
        Ok(Self { input, at, records: Vec::new().into_iter(), is_over: false })
    }

    /// Goes on with a file at a byte where a section begins.
    pub fn within(input: R, at: u64) -> Self {
        Self { input, at, records: Vec::new().into_iter(), is_over: false }
    }

    /// How many bytes of the file were read.
    pub fn bytes_read(&self) -> u64 {
        self.at
    }

    /// The next section; none where the file ends.
    fn section(&mut self) -> Result<Option<Vec<Record>>, Damage> {
        let at = self.at;
        let mut head = [0; 16];
        match fill(&mut self.input, &mut head)? {
            Filled::Nothing => return Ok(None),
            Filled::Part => return Err(Damage::CutOff),
            Filled::All => {}
        }
        let number = |at: usize| {
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
        };
        let (stored_len, len) = (number(0), number(4));
        if len > MOST_SECTION || stored_len > MOST_SECTION + (MOST_SECTION >> 7) {
            return Err(Damage::Section(at));
        }
        let mut stored = vec![0; stored_len];
        if !matches!(fill(&mut self.input, &mut stored)?, Filled::All) {
            return Err(Damage::CutOff);
        }
        if xxh3_64(&stored).to_le_bytes() != head[8..] {
            return Err(Damage::Section(at));
        }
        let bytes = zstd::bulk::decompress(&stored, len).map_err(|_| Damage::Section(at))?;
        if bytes.len() != len {
            return Err(Damage::Section(at));
        }
        self.at += (head.len() + stored.len()) as u64;
        let mut records = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (record, behind) =
                postcard::take_from_bytes(rest).map_err(|_| Damage::Section(at))?;
            records.push(record);
            rest = behind;
        }
        Ok(Some(records))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Record, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            if let Some(record) = self.records.next() {
                return Some(Ok(record));
            }
            match self.section() {
                Ok(Some(records)) => self.records = records.into_iter(),
                Ok(None) => self.is_over = true,
                Err(damage) => {
                    self.is_over = true;
                    return Some(Err(damage));
                }
            }
        }
        None
    }
}

enum Filled {
    All,
    Part,
    Nothing,
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<Filled> {
    let mut len = 0;
    while len < buffer.len() {
        match input.read(&mut buffer[len..]) {
            Ok(0) => return Ok(if len == 0 { Filled::Nothing } else { Filled::Part }),
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Filled::All)
}

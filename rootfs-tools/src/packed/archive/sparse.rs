//! Files with holes: where their data lies. GNU tar has had four formats, all of which it still reads:
//! the old one (type `S`, in the header and blocks behind it), and 0.0, 0.1 and 1.0 in PAX records.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use tar::{GnuExtSparseHeader, GnuSparseHeader};

use super::header::BLOCK;
use super::pax::Records;

/// More pieces than any file system makes of a file that is worth it.
const MOST_PIECES: usize = 1 << 20;

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Map {
    /// As the headers say.
    Known(Vec<Piece>),
    /// At the beginning of the contents (format 1.0).
    Inside,
}

/// A piece of data: where, and how many bytes.
pub type Piece = (u64, u64);

/// What PAX records say: the map and the file's size.
pub(crate) fn of_records(records: &Records) -> Option<(Map, u64)> {
    if records.get("GNU.sparse.major") == Some(b"1") {
        return Some((Map::Inside, records.number("GNU.sparse.realsize")?));
    }
    let size = records.number("GNU.sparse.size")?;
    let mut numbers = Vec::new();
    if let Some(map) = records.get("GNU.sparse.map") {
        for number in map.split(|&byte| byte == b',').filter(|number| !number.is_empty()) {
            numbers.push(std::str::from_utf8(number).ok()?.parse().ok()?);
        }
    } else {
        for (key, value) in records.iter() {
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                numbers.push(std::str::from_utf8(value).ok()?.parse().ok()?);
            }
        }
    }
    let pieces = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Some((Map::Known(pieces), size))
}

/// What entries of the old format say. `false` if they are no numbers.
pub(crate) fn add_old(pieces: &mut Vec<Piece>, entries: &[GnuSparseHeader]) -> bool {
    for entry in entries.iter().filter(|entry| !entry.is_empty()) {
        let (Ok(offset), Ok(len)) = (entry.offset(), entry.length()) else {
            return false;
        };
        pieces.push((offset, len));
    }
    pieces.len() <= MOST_PIECES
}

/// A block behind a header of the old format.
pub(crate) fn continuation(block: &[u8; BLOCK]) -> GnuExtSparseHeader {
    let mut header = GnuExtSparseHeader::new();
    header.as_mut_bytes().copy_from_slice(block);
    header
}

/// Reads a map of format 1.0: numbers in decimal, a line each, how many pieces first; then zeros up
/// to the end of a block.
fn read_map(contents: &mut impl Read) -> io::Result<Vec<Piece>> {
    let mut block = [0; BLOCK];
    let mut at = BLOCK;
    let mut number = || -> io::Result<u64> {
        let mut value: u64 = 0;
        loop {
            if at == BLOCK {
                contents.read_exact(&mut block)?;
                at = 0;
            }
            let byte = block[at];
            at += 1;
            match byte {
                b'\n' => return Ok(value),
                b'0'..=b'9' => {
                    let more = value.checked_mul(10);
                    let more = more.and_then(|more| more.checked_add(u64::from(byte - b'0')));
                    value = more.ok_or_else(damaged)?;
                }
                _ => return Err(damaged()),
            }
        }
    };
    let count = number()?;
    if count > MOST_PIECES as u64 {
        return Err(damaged());
    }
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push((number()?, number()?));
    }
    Ok(pieces)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its map of data and holes is damaged")
}

/// Writes the file of `size` bytes whose data are `contents`.
pub fn unpack(map: &Map, size: u64, contents: &mut impl Read, mut to: &File) -> io::Result<()> {
    let read;
    let pieces = match map {
        Map::Known(pieces) => pieces,
        Map::Inside => {
            read = read_map(contents)?;
            &read
        }
    };
    to.set_len(size)?;
    for &(offset, len) in pieces {
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(damaged());
        }
        to.seek(SeekFrom::Start(offset))?;
        if io::copy(&mut contents.by_ref().take(len), &mut to)? != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

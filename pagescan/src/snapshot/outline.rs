//! Which snapshots a file has, without reading all of it: a snapshot begins where a section does.

use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};

use super::reader::Damage;
use super::record::{Header, Record};
use super::writer::{MAGIC, MOST_SECTION};

/// A snapshot in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The byte of the file that its first section begins at.
    pub at: u64,
    /// When, where and how it was taken.
    pub header: Header,
}

/// The snapshots of a file, in their order. Only how they begin is read: whether the rest is sound is seen when it is read.
pub fn outline<F: Read + Seek>(mut file: F) -> Result<Vec<Begun>, Damage> {
    let len = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut magic = [0; MAGIC.len()];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *MAGIC => {}
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(error.into()),
        _ => return Err(Damage::Kind),
    }
    let mut snapshots = Vec::new();
    let mut at = MAGIC.len() as u64;
    while at < len {
        let mut head = [0; 16];
        if len - at < head.len() as u64 {
            return Err(Damage::CutOff);
        }
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let stored = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        let end = at + head.len() as u64 + stored;
        if end > len {
            return Err(Damage::CutOff);
        }
        if let Some(header) = header((&mut file).take(stored), at)? {
            snapshots.push(Begun { at, header });
        }
        at = end;
    }
    if snapshots.is_empty() { Err(Damage::CutOff) } else { Ok(snapshots) }
}

/// The header that a section begins with, if it does.
fn header(stored: impl Read, at: u64) -> Result<Option<Header>, Damage> {
    // Of most sections the first bytes are enough.
    let stored = BufReader::with_capacity(16 << 10, stored);
    let damaged = |_| Damage::Section(at);
    let mut section =
        zstd::Decoder::with_buffer(stored).map_err(damaged)?.take(MOST_SECTION as u64);
    let mut bytes = Vec::new();
    section.by_ref().take(1).read_to_end(&mut bytes).map_err(damaged)?;
    // Postcard numbers the kinds of records, and a header is the first.
    if bytes != [0] {
        return Ok(None);
    }
    section.read_to_end(&mut bytes).map_err(damaged)?;
    match postcard::take_from_bytes(&bytes) {
        Ok((Record::Header(header), _)) => Ok(Some(header)),
        _ => Err(Damage::Section(at)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::hash::{Algorithm, PageHash};
    use crate::snapshot::{Attributes, Means, Reader, Scope, Totals, Writer, read_next};

    fn written(snapshots: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for taken in 0..snapshots {
            let header = Header {
                taken,
                host: "host".into(),
                boot: "boot".into(),
                kernel: String::new(),
                page_size: 4096,
                memory: 0,
                algorithm: Algorithm::Xxh3_128,
                key_id: None,
                scope: Scope::Ram,
                means: Means::Frame,
                lacks: Vec::new(),
            };
            let mut writer = Writer::append(bytes, header).unwrap();
            for number in 0..200_000 + taken {
                let hash =
                    PageHash(xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes()).to_le_bytes());
                writer.frame(Some(number), Attributes::default(), hash).unwrap();
            }
            bytes = writer.finish(Totals::default()).unwrap();
        }
        bytes
    }

    #[test]
    fn each_is_found_and_read_alone() {
        let bytes = written(3);
        let begun = outline(Cursor::new(&bytes)).unwrap();
        assert_eq!(begun.iter().map(|begun| begun.header.taken).collect::<Vec<_>>(), [0, 1, 2]);
        let Begun { at, header } = &begun[1];
        let mut reader = Reader::within(&bytes[*at as usize..], *at);
        let snapshot = read_next(&mut reader).unwrap().unwrap();
        assert_eq!((&snapshot.header, snapshot.frames.len()), (header, 200_001));
    }

    #[test]
    fn others_are_refused() {
        assert!(matches!(outline(Cursor::new(b"something else")), Err(Damage::Kind)));
        assert!(matches!(outline(Cursor::new(MAGIC)), Err(Damage::CutOff)));
        let bytes = written(1);
        assert!(matches!(outline(Cursor::new(&bytes[..bytes.len() - 1])), Err(Damage::CutOff)));
    }
}

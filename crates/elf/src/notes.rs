//! Notes (gABI, "Note Section").

/// A note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Its name, with its NUL.
    pub name: &'a [u8],
    /// Its type.
    pub kind: u32,
    /// What it holds.
    pub contents: &'a [u8],
}

/// The notes of a segment, one after the other.
#[derive(Clone, Debug)]
pub struct Notes<'a> {
    rest: &'a [u8],
    align: usize,
    little_endian: bool,
}

impl<'a> Notes<'a> {
    /// Contents and names are padded to multiples of `align` bytes.
    pub fn new(bytes: &'a [u8], align: usize, little_endian: bool) -> Self {
        Self { rest: bytes, align, little_endian }
    }
}

impl<'a> Iterator for Notes<'a> {
    type Item = Note<'a>;

    fn next(&mut self) -> Option<Note<'a>> {
        let bytes = self.rest;
        let read = if self.little_endian { u32::from_le_bytes } else { u32::from_be_bytes };
        let word = |at: usize| Some(read(*bytes.get(at..)?.first_chunk()?));
        let (name_len, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        // Padding, of which a sparse file has as much as it likes.
        if (name_len, len, kind) == (0, 0, 0) {
            return None;
        }
        let start = 12usize.checked_add(name_len)?.checked_next_multiple_of(self.align)?;
        let end = start.checked_add(len)?;
        let contents = bytes.get(start..end)?;
        let next = end.checked_next_multiple_of(self.align)?;
        self.rest = bytes.get(next..).unwrap_or_default();
        Some(Note { name: bytes.get(12..12 + name_len)?, kind, contents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other() {
        let mut bytes = Vec::new();
        let written = [(&b"A\0"[..], 1u32, &b"xyz"[..]), (b"statify\0", 7, b"abc")];
        for (name, kind, contents) in written {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((contents.len() as u32).to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(name);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(contents);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let read: Vec<_> =
            Notes::new(&bytes, 4, true).map(|note| (note.name, note.kind, note.contents)).collect();
        assert_eq!(read, written);
        // The last one's padding may be cut off.
        assert_eq!(Notes::new(&bytes[..bytes.len() - 1], 4, true).count(), 2);
        assert_eq!(Notes::new(&[0xff; 40], 4, true).count(), 0);
        // Zeros say nothing, however many.
        assert_eq!(Notes::new(&[bytes, vec![0; 4096]].concat(), 4, true).count(), 2);
    }
}

//! The members of a tar archive, one after the other, and what is behind them. (The `tar` crate knows the
//! fields of a header; its own reader of PAX records ends a value at its first newline, and gives no
//! header back as it was, so that what does not change could be passed on.)

use std::io::{self, Read, Write};

use tar::Header;

use super::header::BLOCK;
use super::member::{Kind, Member};
use super::pax::Records;
use super::sparse::{self, Map};
use crate::error::archive::{Fault, Result};

/// More than the attributes of a file may be on any file system of this kernel.
const MOST_EXTENSION: u64 = 4 << 20;

/// What is compressed may have any number of them in a few bytes.
const MOST_ZEROS: u64 = 1 << 30;

/// Reads members.
#[derive(Debug)]
pub struct Members<R> {
    input: R,
    /// How many bytes have been read.
    at: u64,
    global: Records,
    /// What is left of the current member's contents, and zeros up to the end of a block.
    left: (u64, u64),
    current: String,
    /// The first block behind the last member was read.
    ended: bool,
}

/// How an archive ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// So many zeros are its last bytes.
    pub zeros: u64,
    /// There was nothing else behind the last member.
    pub is_plain: bool,
    /// All bytes of the archive.
    pub size: u64,
}

/// The contents of the current member.
#[derive(Debug)]
pub struct Contents<'a, R>(&'a mut Members<R>);

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.0.left.0.min(buffer.len() as u64) as usize;
        if most == 0 {
            return Ok(0);
        }
        match self.0.input.read(&mut buffer[..most])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            len => {
                self.0.left.0 -= len as u64;
                self.0.at += len as u64;
                Ok(len)
            }
        }
    }
}

impl<R: Read> Members<R> {
    /// Those of an archive that is not compressed (any more).
    pub fn new(input: R) -> Self {
        let global = Records::default();
        Self { input, at: 0, global, left: (0, 0), current: String::new(), ended: false }
    }

    /// The next one. What is left of the last one's contents is passed over.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        self.pass(&mut io::sink())?;
        let mut raw = Vec::new();
        let mut parts = Vec::new();
        let mut local = Records::default();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let at = self.at;
            let Some(block) = self.block()? else {
                return if raw.is_empty() { Ok(None) } else { Err(Fault::NoHeader(at)) };
            };
            if block.iter().all(|&byte| byte == 0) {
                self.ended = true;
                return if raw.is_empty() { Ok(None) } else { Err(Fault::NoHeader(at)) };
            }
            let header = Header::from_byte_slice(&block).clone();
            if !checksum_holds(&header) {
                return Err(Fault::NoHeader(at));
            }
            raw.extend(block);
            let kind = block[156];
            if !matches!(kind, b'x' | b'X' | b'g' | b'L' | b'K') {
                parts.push((kind, raw.len()));
                let member = Member {
                    name: Vec::new(),
                    link: Vec::new(),
                    kind: Kind::Other,
                    header,
                    records: local,
                    stored: 0,
                    holes: None,
                    raw,
                    parts,
                };
                return self.finish(member, long_name, long_link, at).map(Some);
            }
            let size = header.entry_size().map_err(|_| Fault::NoHeader(at))?;
            let contents = self.extension(size, &mut raw)?;
            parts.push((kind, raw.len()));
            match kind {
                b'L' => long_name = Some(until_nul(&contents)),
                b'K' => long_link = Some(until_nul(&contents)),
                _ => {
                    let records = Records::parse(&contents).ok_or(Fault::NoHeader(at))?;
                    if kind != b'g' {
                        local.extend(records);
                        continue;
                    }
                    self.global.extend(records);
                    let name = header.path_bytes().into_owned();
                    return Ok(Some(Member {
                        name,
                        link: Vec::new(),
                        kind: Kind::Other,
                        header,
                        records: Records::default(),
                        stored: 0,
                        holes: None,
                        raw,
                        parts,
                    }));
                }
            }
        }
    }

    /// What the headers say, together.
    fn finish(
        &mut self,
        mut member: Member,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        at: u64,
    ) -> Result<Member> {
        let mut records = self.global.clone();
        records.extend(std::mem::take(&mut member.records));
        let header = &member.header;
        let given =
            |keys: &[&str]| keys.iter().find_map(|key| records.get(key)).map(<[u8]>::to_vec);
        member.name = given(&["GNU.sparse.name", "path"])
            .or(long_name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        member.link = given(&["linkpath"])
            .or(long_link)
            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let shown = member.shown();
        self.current.clone_from(&shown);
        let damaged = |what| Fault::Member(shown.clone(), what);
        if member.name.contains(&0) || member.link.contains(&0) {
            return Err(damaged("has a NUL in its name"));
        }
        let kind = header.as_bytes()[156];
        member.kind = match kind {
            0 if member.name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::Link,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'M' => return Err(damaged("is the rest of a file that began in another volume")),
            _ => Kind::Other,
        };
        // What has no contents may have a size all the same (POSIX, ustar, typeflag).
        if member.kind == Kind::File || matches!(kind, b'D' | b'A'..=b'Z') {
            let size = match records.get("size") {
                Some(_) => records.number("size"),
                None => header.entry_size().ok(),
            };
            member.stored = size.ok_or_else(|| damaged("has a size that is no number"))?;
        }
        if kind == b'S' {
            let no_map = || damaged("has a damaged map of its data and holes");
            let gnu = header.as_gnu().ok_or_else(no_map)?;
            let size = gnu.real_size().map_err(|_| no_map())?;
            let mut pieces = Vec::new();
            let mut good = sparse::add_old(&mut pieces, &gnu.sparse);
            let mut more = gnu.is_extended();
            while good && more {
                let block = self.block()?.ok_or_else(|| Fault::Truncated(shown.clone()))?;
                member.raw.extend(block);
                let next = sparse::continuation(&block);
                good = sparse::add_old(&mut pieces, next.sparse());
                more = next.is_extended();
            }
            if !good {
                return Err(no_map());
            }
            member.holes = Some((Map::Known(pieces), size));
        } else if member.kind == Kind::File
            && records.iter().any(|(key, _)| key.starts_with(b"GNU.sparse."))
        {
            let holes = sparse::of_records(&records);
            let no_map = || damaged("has a damaged map of its data and holes");
            member.holes = Some(holes.ok_or_else(no_map)?);
        }
        member.records = records;
        let padding = member.stored.wrapping_neg() % BLOCK as u64;
        if member.stored > u64::MAX - (1 << 20) - at {
            return Err(damaged("has a size that no file has"));
        }
        self.left = (member.stored, padding);
        Ok(member)
    }

    /// The current member's contents.
    pub fn contents(&mut self) -> Contents<'_, R> {
        Contents(self)
    }

    /// Passes on what is left of the current member's contents, as it is.
    pub fn pass(&mut self, to: &mut impl Write) -> Result<()> {
        let mut left = self.left.0 + self.left.1;
        let mut buffer = vec![0; left.min(1 << 18) as usize];
        while left > 0 {
            let most = left.min(buffer.len() as u64) as usize;
            match self.input.read(&mut buffer[..most]) {
                Ok(0) => return Err(Fault::Truncated(self.current.clone())),
                Ok(len) => {
                    to.write_all(&buffer[..len]).map_err(Fault::Write)?;
                    left -= len as u64;
                    self.at += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Read(error)),
            }
        }
        self.left = (0, 0);
        Ok(())
    }

    /// Passes on everything behind the last member but zeros at the end.
    pub fn rest(&mut self, to: &mut impl Write) -> Result<Rest> {
        let mut zeros = if self.ended { BLOCK as u64 } else { 0 };
        let mut is_plain = true;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = match self.input.read(&mut buffer) {
                Ok(0) => return Ok(Rest { zeros, is_plain, size: self.at }),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::Read(error)),
            };
            self.at += len as u64;
            if let Some(last) = buffer[..len].iter().rposition(|&byte| byte != 0) {
                io::copy(&mut io::repeat(0).take(zeros), to).map_err(Fault::Write)?;
                to.write_all(&buffer[..=last]).map_err(Fault::Write)?;
                zeros = (len - last - 1) as u64;
                is_plain = false;
            } else {
                zeros += len as u64;
                if zeros > MOST_ZEROS {
                    let what = "it ends with more zeros than any archive; they are not read";
                    return Err(Fault::Read(io::Error::other(what)));
                }
            }
        }
    }

    /// A block; `None` at the end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut len = 0;
        while len < BLOCK {
            match self.input.read(&mut block[len..]) {
                Ok(0) if len == 0 => return Ok(None),
                Ok(0) => return Err(Fault::Truncated("a header".into())),
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Read(error)),
            }
        }
        self.at += BLOCK as u64;
        Ok(Some(block))
    }

    /// The contents of a header's extension, which are appended to `raw` with what fills their last block.
    fn extension(&mut self, size: u64, raw: &mut Vec<u8>) -> Result<Vec<u8>> {
        if size > MOST_EXTENSION {
            return Err(Fault::NoHeader(self.at));
        }
        let whole = size.next_multiple_of(BLOCK as u64);
        let before = raw.len();
        let read = self.input.by_ref().take(whole).read_to_end(raw).map_err(Fault::Read)?;
        self.at += read as u64;
        if read as u64 != whole {
            return Err(Fault::Truncated("a header".into()));
        }
        Ok(raw[before..before + size as usize].to_vec())
    }
}

fn until_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// Old archives have the sum of signed bytes.
fn checksum_holds(header: &Header) -> bool {
    let Ok(wanted) = header.cksum() else {
        return false;
    };
    let bytes = header.as_bytes().iter().enumerate();
    let bytes = bytes.map(|(at, &byte)| if (148..156).contains(&at) { b' ' } else { byte });
    let unsigned: u32 = bytes.clone().map(u32::from).sum();
    let signed: i32 = bytes.map(|byte| i32::from(byte.cast_signed())).sum();
    wanted == unsigned || i64::from(wanted) == i64::from(signed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::header::{NAME, extension, set_name};
    use super::*;

    /// A file with a name of 150 bytes and a capability, in PAX format.
    fn archive() -> Vec<u8> {
        let mut records = Records::default();
        records.push("SCHILY.xattr.security.capability", b"\x01\n\0=");
        let mut header = Header::new_ustar();
        header.set_mode(0o755);
        header.set_uid(1);
        header.set_gid(2);
        header.set_mtime(3);
        header.set_size(5);
        set_name(&mut header.as_mut_bytes()[..NAME], "path", &[b'n'; 150], &mut records);
        header.set_cksum();
        let mut all = extension(&records, b"name");
        all.extend(header.as_bytes());
        all.extend(b"12345");
        all.resize(all.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
        all
    }

    fn read(bytes: &[u8]) -> Result<Vec<Member>> {
        let mut members = Members::new(bytes);
        let mut all = Vec::new();
        while let Some(member) = members.next_member()? {
            all.push(member);
        }
        Ok(all)
    }

    #[test]
    fn a_converted_program_keeps_its_records() {
        let before = &read(&archive()).unwrap()[0];
        assert_eq!((before.name.len(), before.stored), (150, 5));
        let large = 9 << 30;
        let mut members = Members::new(io::Cursor::new(before.converted(large)));
        let after = members.next_member().unwrap().unwrap();
        assert_eq!(after.stored, large);
        assert_eq!((&after.name, &after.records), (&before.name, &before.records));
        let placed = before.placed(b"usr/bin/x", 7, Some(b"usr/bin/y"));
        let placed = &read(&placed).unwrap()[0];
        assert_eq!((placed.kind, placed.name.as_slice()), (Kind::Link, &b"usr/bin/x"[..]));
        let capability = placed.records.get("SCHILY.xattr.security.capability");
        assert_eq!(capability, Some(&b"\x01\n\0="[..]));
    }

    /// One that is too large for its header says so in a record.
    #[test]
    fn a_converted_program_has_its_new_size_only() {
        let mut records = Records::default();
        records.push("size", b"5");
        let mut header = Header::new_ustar();
        header.set_size(0);
        set_name(&mut header.as_mut_bytes()[..NAME], "path", b"program", &mut records);
        header.set_cksum();
        let mut archive = extension(&records, b"program");
        archive.extend(header.as_bytes());
        archive.extend(b"12345");
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        let before = &read(&archive).unwrap()[0];
        assert_eq!(before.stored, 5);
        let after = Members::new(io::Cursor::new(before.converted(7000))).next_member();
        assert_eq!(after.unwrap().unwrap().stored, 7000);
        let placed = read(&before.placed(b"program", 0, None)).unwrap();
        assert_eq!(placed[0].stored, 0);
    }

    proptest! {
        #[test]
        fn damaged_archives_are_read_or_refused(
            changes in prop::collection::vec((0..5 * BLOCK, any::<u8>()), 0..4),
            len in 0..5 * BLOCK,
        ) {
            let mut bytes = archive();
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(len);
            for member in read(&bytes).unwrap_or_default() {
                let _ = (member.converted(1), member.placed(b"a", 1, Some(b"b")));
            }
        }
    }
}

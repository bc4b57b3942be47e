//! Bytes of a program that none of its headers accounts for. What lies behind everything is a
//! *payload*, which the program finds in its own file: from the end (zip archives), or at an offset
//! that it knows (SBCL's cores). What lies between can be found at its offset only.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use goblin::elf::section_header::{SHT_NOBITS, SHT_NULL};
use rustix::fs::SeekFrom;
use statify_elf::{ElfFile, page_down};

use crate::{Refusal, Result};

/// Fewer bytes between two parts of a file are padding, whatever they hold.
const PADDING: u64 = 16;
/// At offsets below this nothing of the program's can be kept: an output has its headers, the starter
/// and its tables there.
const LEAST_KEPT: u64 = 64 << 10;
/// So much of a payload's end may tell where it begins, in bytes.
const TRAILER: u64 = 4096;
/// More zeros than this are not read to see whether something follows, in bytes.
const MOST_ZEROS: u64 = 64 << 20;
/// Read at once, in bytes.
const PIECE: u64 = 64 << 10;

/// What no header of a program accounts for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// File offsets of what lies between; ascending.
    pub between: Vec<Range<u64>>,
    /// File offsets of what lies behind everything, to the file's end.
    pub payload: Option<Payload>,
}

/// What a program's file ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// File offsets.
    pub range: Range<u64>,
    /// It says itself at which offset of the file it begins.
    pub tells_offset: bool,
}

impl Unclaimed {
    /// Looks into a file of `len` bytes, whose headers, those of its sections among them, `elf` has.
    pub fn of(elf: &ElfFile<'_>, file: &File, len: u64) -> io::Result<Self> {
        let mut found = Self::default();
        let mut left = MOST_ZEROS;
        let mut at = 0;
        for claim in claims(elf, len) {
            let gap = at..claim.start;
            if gap.end.saturating_sub(gap.start) >= PADDING
                && first_data(file, gap.clone(), &mut left)?.is_some()
            {
                found.between.push(gap);
            }
            at = at.max(claim.end);
        }
        if let Some(start) = first_data(file, at..len, &mut left)? {
            let tells_offset = tells(file, at..=start, len)?;
            found.payload = Some(Payload { range: at..len, tells_offset });
        }
        Ok(found)
    }

    /// Refuses what an output could not have where the program looks for it.
    pub fn check(&self, path: &Path) -> Result<()> {
        self.check_kept(path, |range| page_down(range.start) >= LEAST_KEPT)
    }

    /// The same where it is known what has its own offset in the output.
    pub fn check_kept(&self, path: &Path, is_kept: impl Fn(&Range<u64>) -> bool) -> Result<()> {
        if let Some(lost) = self.between.iter().find(|range| !is_kept(range)) {
            return Err(Refusal::Unclaimed(path.to_owned(), lost.end - lost.start, lost.start));
        }
        match &self.payload {
            Some(payload) if payload.tells_offset && !is_kept(&payload.range) => {
                Err(payload.refusal(path))
            }
            _ => Ok(()),
        }
    }

    /// File offsets of what is wanted at the same offsets in an output; ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let payload = self.payload.iter().map(|payload| payload.range.clone());
        self.between.iter().cloned().chain(payload)
    }
}

impl Payload {
    /// Why a program with it cannot be converted.
    pub fn refusal(&self, path: &Path) -> Refusal {
        let Range { start, end } = self.range;
        Refusal::Payload(path.to_owned(), end - start, start)
    }
}

/// What headers account for, as far as it is in the file; ascending by start.
fn claims(elf: &ElfFile<'_>, len: u64) -> Vec<Range<u64>> {
    let (header, sections) = (elf.header(), elf.sections());
    let program_headers = u64::from(header.e_phentsize) * elf.segments().len() as u64;
    let mut claims = vec![
        (0, u64::from(header.e_ehsize)),
        (header.e_phoff, program_headers),
        elf.section_table(),
    ];
    claims.extend(elf.segments().iter().map(|segment| (segment.p_offset, segment.p_filesz)));
    let held = sections.iter().filter(|held| !matches!(held.sh_type, SHT_NULL | SHT_NOBITS));
    claims.extend(held.map(|section| (section.sh_offset, section.sh_size)));
    let within = |&(start, size): &(u64, u64)| {
        let end = start.checked_add(size).filter(|end| *end <= len)?;
        (size > 0).then_some(start..end)
    };
    let mut claims: Vec<Range<u64>> = claims.iter().filter_map(within).collect();
    claims.sort_unstable_by_key(|claim| claim.start);
    claims
}

/// The offset of the first byte in `range` that is not zero. So many zeros may be read yet as are
/// `left`; what lies behind counts as something.
fn first_data(file: &File, range: Range<u64>, left: &mut u64) -> io::Result<Option<u64>> {
    let mut at = range.start;
    let mut piece = Vec::new();
    while at < range.end {
        at = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(data) => data.max(at),
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            // A file system that knows of no holes.
            Err(_) => at,
        };
        if at >= range.end {
            break;
        }
        if *left == 0 {
            return Ok(Some(at));
        }
        let len = PIECE.min(range.end - at).min(*left);
        piece.resize(len as usize, 0);
        file.read_exact_at(&mut piece, at)?;
        if let Some(other) = piece.iter().position(|&byte| byte != 0) {
            return Ok(Some(at + other as u64));
        }
        at += len;
        *left -= len;
    }
    Ok(None)
}

/// Whether the last bytes of a file of `len` bytes name one of these offsets: as a number of 4 or 8
/// bytes, or in decimal digits.
fn tells(file: &File, offsets: std::ops::RangeInclusive<u64>, len: u64) -> io::Result<bool> {
    let start = len.saturating_sub(TRAILER).max(*offsets.start());
    let mut trailer = vec![0; (len - start) as usize];
    file.read_exact_at(&mut trailer, start)?;
    let double = |bytes: &[u8]| {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        [u64::from_le_bytes(bytes), u64::from_be_bytes(bytes)].iter().any(|n| offsets.contains(n))
    };
    let single = |bytes: &[u8]| {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        let numbers = [u32::from_le_bytes(bytes), u32::from_be_bytes(bytes)];
        numbers.iter().any(|&number| offsets.contains(&number.into()))
    };
    let digits = trailer.split(|byte| !byte.is_ascii_digit()).filter(|run| run.len() <= 20);
    let mut decimal = digits.filter_map(|run| std::str::from_utf8(run).ok()?.parse().ok());
    Ok(trailer.windows(8).any(double)
        || trailer.windows(4).any(single)
        || decimal.any(|number| offsets.contains(&number)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// This test's own program, with something behind it.
    fn with(behind: impl FnOnce(u64) -> Vec<u8>) -> Unclaimed {
        let mut bytes = std::fs::read("/proc/self/exe").unwrap();
        let end = bytes.len() as u64;
        bytes.extend(behind(end));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let elf = ElfFile::parse(&bytes).unwrap();
        Unclaimed::of(&elf, &file, bytes.len() as u64).unwrap()
    }

    #[test]
    fn what_lies_behind_everything_is_a_payload() {
        assert_eq!(with(|_| Vec::new()), Unclaimed::default());
        assert_eq!(with(|_| vec![0; 5000]), Unclaimed::default());
        let found = with(|_| b"MAGIC".to_vec()).payload.unwrap();
        assert_eq!((found.range.end - found.range.start, found.tells_offset), (5, false));
    }

    #[test]
    fn a_payload_may_tell_where_it_begins() {
        let telling: [fn(u64) -> Vec<u8>; 4] = [
            |at| at.to_le_bytes().to_vec(),
            |at| [b"x", &(at as u32).to_be_bytes()[..], b"yz"].concat(),
            |at| format!("data; offset={at}\n").into_bytes(),
            // It begins behind some padding.
            |at| [vec![0; 64], b"data".to_vec(), (at + 64).to_le_bytes().to_vec()].concat(),
        ];
        for behind in telling {
            assert!(with(behind).payload.unwrap().tells_offset);
        }
        assert!(!with(|at| (at + 1).to_le_bytes().to_vec()).payload.unwrap().tells_offset);
    }
}

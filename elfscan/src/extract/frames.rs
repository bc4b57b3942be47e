//! Unwinding tables: .eh_frame (LSB core, "Exception Frames") as it is in memory, and .debug_frame
//! (DWARF 4, 6.4.1) made from it, in which addresses are absolute, so that those of many modules can stand
//! in one.

use goblin::elf::program_header::PT_GNU_EH_FRAME;
use statify_elf::{ElfFile, word_mask};
use statify_params::leb128;

/// An .eh_frame section.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    /// Its address in the file.
    pub address: u64,
    /// Its bytes, up to and with the terminator.
    pub bytes: &'a [u8],
    /// The size of an address, in bytes.
    word: usize,
}

/// What a function's entry says.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The first address that it is for, in the file.
    pub start: u64,
    /// The number of bytes that it is for.
    pub len: u64,
    common: usize,
    instructions: &'a [u8],
}

/// An entry that others share.
#[derive(Clone, Debug)]
struct Common<'a> {
    offset: usize,
    version: u8,
    /// Code alignment, data alignment, return address register: as they stand there.
    numbers: &'a [u8],
    sized: bool,
    signal: bool,
    encoding: u8,
    instructions: &'a [u8],
}

/// The entries of an .eh_frame.
#[derive(Clone, Debug, Default)]
pub struct Entries<'a> {
    common: Vec<Common<'a>>,
    /// One for each function, or part of one, ascending.
    pub frames: Vec<Frame<'a>>,
}

// Pointer encodings (LSB core, "DWARF Exception Header Encoding").
const ABSOLUTE: u8 = 0x00;
const OMITTED: u8 = 0xff;
const RELATIVE: u8 = 0x10;
const DATA_RELATIVE: u8 = 0x30;
const INDIRECT: u8 = 0x80;

/// Finds .eh_frame by what PT_GNU_EH_FRAME says.
pub fn find<'a>(elf: &ElfFile<'a>) -> Option<Frames<'a>> {
    let header = elf.segments().iter().find(|segment| segment.p_type == PT_GNU_EH_FRAME)?;
    let bytes = elf.contents(header)?;
    // Version, encodings of: the pointer, the count, the table.
    let [1, encoding, _, _] = *bytes.first_chunk::<4>()? else { return None };
    let mut rest = bytes.get(4..)?;
    let at = header.p_vaddr.wrapping_add(4);
    let address = pointer(&mut rest, encoding, at, header.p_vaddr, elf.address_size())?;
    let bytes = elf.from(address)?;
    let mut end = 0usize;
    while let Some((body, next)) = entry(bytes, end) {
        end = next;
        if body.is_empty() {
            break;
        }
    }
    Some(Frames { address, bytes: &bytes[..end], word: elf.address_size() })
}

/// The body of the entry at `at`, and where the next one begins.
fn entry(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let head = bytes.get(at..)?;
    let (len, start): (usize, usize) = match u32::from_le_bytes(*head.first_chunk()?) {
        u32::MAX => (usize::try_from(u64::from_le_bytes(*head.get(4..)?.first_chunk()?)).ok()?, 12),
        len => (len as usize, 4),
    };
    let end = start.checked_add(len)?;
    Some((head.get(start..end)?, at.checked_add(end)?))
}

/// Reads all entries, as far as they can be understood.
pub fn read<'a>(frames: &Frames<'a>) -> Entries<'a> {
    let mut entries = Entries::default();
    let mut at = 0;
    while let Some((body, next)) = entry(frames.bytes, at) {
        if body.is_empty() {
            break;
        }
        // An entry of more than 4 GiB is not believed.
        let start = at + 4;
        if next - start == body.len() {
            match body.first_chunk().map(|id| u32::from_le_bytes(*id)) {
                Some(0) => entries.common.extend(common(body, at, frames.word)),
                Some(distance) => {
                    let frame = function(frames, &entries.common, body, start, distance);
                    entries.frames.extend(frame);
                }
                None => {}
            }
        }
        at = next;
    }
    entries.frames.sort_by_key(|frame| frame.start);
    entries
}

fn common(body: &[u8], offset: usize, word: usize) -> Option<Common<'_>> {
    let version = *body.get(4)?;
    let len = body.get(5..)?.iter().position(|&byte| byte == 0)?;
    let augmentation = body.get(5..5 + len)?;
    let start = body.get(5 + len + 1..)?;
    let mut rest = start;
    uleb(&mut rest)?;
    uleb(&mut rest)?;
    if version == 1 {
        rest = rest.get(1..)?;
    } else {
        uleb(&mut rest)?;
    }
    let numbers = &start[..start.len() - rest.len()];
    let (mut encoding, mut signal) = (ABSOLUTE, false);
    let sized = augmentation.first() == Some(&b'z');
    if sized {
        let len = usize::try_from(uleb(&mut rest)?).ok()?;
        let (mut data, instructions) = rest.split_at_checked(len)?;
        rest = instructions;
        for letter in &augmentation[1..] {
            match letter {
                b'R' => encoding = take(&mut data)?,
                b'L' => drop(take(&mut data)?),
                b'P' => {
                    let encoding = take(&mut data)?;
                    pointer(&mut data, encoding & 0x0f, 0, 0, word)?;
                }
                b'S' => signal = true,
                b'B' => {}
                _ => return None,
            }
        }
    } else if !augmentation.is_empty() {
        return None;
    }
    Some(Common { offset, version, numbers, sized, signal, encoding, instructions: rest })
}

fn function<'a>(
    frames: &Frames<'a>,
    known: &[Common<'a>],
    body: &'a [u8],
    start: usize,
    distance: u32,
) -> Option<Frame<'a>> {
    let offset = start.checked_sub(distance as usize)?;
    let common = known.binary_search_by_key(&offset, |common| common.offset).ok()?;
    let Common { encoding, sized, .. } = known[common];
    let mut rest = body.get(4..)?;
    let at = frames.address.wrapping_add(start as u64 + 4);
    let first = pointer(&mut rest, encoding, at, 0, frames.word)?;
    let len = pointer(&mut rest, encoding & 0x0f, 0, 0, frames.word)?;
    if sized {
        let len = usize::try_from(uleb(&mut rest)?).ok()?;
        rest = rest.get(len..)?;
    }
    Some(Frame { start: first, len, common, instructions: rest })
}

/// Appends the entries to a .debug_frame, with the addresses that `place` gives them, of so many bytes, 8 at most.
pub fn append(
    entries: &Entries<'_>,
    section: &mut Vec<u8>,
    word: usize,
    place: impl Fn(u64) -> u64,
) {
    let mut offsets = Vec::with_capacity(entries.common.len());
    for common in &entries.common {
        offsets.push(section.len() as u32);
        let signal: &[u8] = if common.signal { b"S\0" } else { b"\0" };
        let version = [common.version];
        let parts: [&[u8]; 5] =
            [&u32::MAX.to_le_bytes(), &version, signal, common.numbers, common.instructions];
        put_entry(section, &parts);
    }
    for frame in &entries.frames {
        let (start, len) = (place(frame.start).to_le_bytes(), frame.len.to_le_bytes());
        let parts: [&[u8]; 4] = [
            &offsets[frame.common].to_le_bytes(),
            &start[..word],
            &len[..word],
            frame.instructions,
        ];
        put_entry(section, &parts);
    }
}

/// An entry, padded with DW_CFA_nop, which is 0.
fn put_entry(section: &mut Vec<u8>, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let padded = (len + 4).next_multiple_of(8) - 4;
    section.extend((padded as u32).to_le_bytes());
    parts.iter().for_each(|part| section.extend(*part));
    section.resize(section.len() + padded - len, 0);
}

/// A pointer at the address `at`, in a table at `data`; whole ones have so many bytes.
fn pointer(bytes: &mut &[u8], encoding: u8, at: u64, data: u64, word: usize) -> Option<u64> {
    if encoding == OMITTED || encoding & INDIRECT != 0 {
        return None;
    }
    let number = match encoding & 0x0f {
        0x00 if word == 4 => u32::from_le_bytes(chunk(bytes)?).into(),
        0x00 | 0x04 | 0x0c => u64::from_le_bytes(chunk(bytes)?),
        0x01 => uleb(bytes)?,
        0x02 => u16::from_le_bytes(chunk(bytes)?).into(),
        0x03 => u32::from_le_bytes(chunk(bytes)?).into(),
        0x0a => i64::from(i16::from_le_bytes(chunk(bytes)?)) as u64,
        0x0b => i64::from(i32::from_le_bytes(chunk(bytes)?)) as u64,
        _ => return None,
    };
    let base = match encoding & 0x70 {
        ABSOLUTE => return Some(number),
        RELATIVE => at,
        DATA_RELATIVE => data,
        _ => return None,
    };
    Some(base.wrapping_add(number) & word_mask(word as u64))
}

fn chunk<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*chunk)
}

fn take(bytes: &mut &[u8]) -> Option<u8> {
    chunk(bytes).map(|[byte]| byte)
}

/// A number in LEB128, without sign.
fn uleb(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = leb128::read(bytes)?;
    *bytes = rest;
    Some(number)
}

//! The comparison itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use statify_elf::{PAGE, little_endian};

use super::frame::Frame;
use super::known::{Known, Value};
use super::memory::{Fixup, PageBytes};
use crate::capture::Capture;
use crate::place::Place;

/// A capture's memory by place.
pub struct Memory<'a> {
    /// The capture.
    pub capture: &'a Capture,
    /// Its frame.
    pub frame: &'a Frame,
}

/// A pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slid {
    /// Where it is.
    pub at: Place,
    /// What it is in the first capture.
    pub value: u64,
    /// The group that it points into.
    pub group: usize,
}

/// What the differences mean.
#[derive(Debug, Default)]
pub struct Compared {
    /// Pointers, with their values in the first capture.
    pub slid: Vec<Slid>,
    /// Other words that are known.
    pub fixups: Vec<Fixup>,
    /// Words that are not, with their two values.
    pub unexplained: Vec<(Place, u64, u64)>,
}

/// A page of zeros.
const ZERO: &[u8; PAGE as usize] = &[0; PAGE as usize];

impl<'a> Memory<'a> {
    /// The page at a place: as it was kept, as the file has it, or zero. Copied only where the file
    /// ends within it.
    pub fn page(&self, place: Place) -> Cow<'a, [u8; PAGE as usize]> {
        let address = self.frame.address(place);
        let capture = self.capture;
        let file = || capture.file_page(capture.region_at(address)?, address);
        let Some(bytes) = capture.pages.get(address).or_else(file) else {
            return Cow::Borrowed(ZERO);
        };
        bytes.first_chunk().map_or_else(
            || {
                let mut page = *ZERO;
                page[..bytes.len()].copy_from_slice(bytes);
                Cow::Owned(page)
            },
            Cow::Borrowed,
        )
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        self.capture.pages.addresses().iter().map(|&address| self.frame.place(address))
    }

    /// Copies of all pages that are kept in this capture or the other.
    pub fn copy_pages(&self, other: &Capture, frame: &Frame) -> BTreeMap<Place, PageBytes> {
        let other = Memory { capture: other, frame };
        let places: BTreeSet<Place> = self.places().chain(other.places()).collect();
        places.into_iter().map(|place| (place, Box::new(*self.page(place)))).collect()
    }

    /// The size of a word, in bytes.
    pub fn word_size(&self) -> u64 {
        self.capture.machine.word()
    }

    /// The word at a place, of whatever alignment.
    pub fn word(&self, place: Place) -> u64 {
        self.number(place, self.word_size() as usize)
    }

    /// The number of so many bytes, 8 at most, at a place.
    pub fn number(&self, place: Place, size: usize) -> u64 {
        let mut bytes = [0; 8];
        let first = self.page(place.page());
        let at = place.in_page();
        let here = size.min(PAGE as usize - at);
        bytes[..here].copy_from_slice(&first[at..at + here]);
        if here < size {
            let second = self.page(place.page() + PAGE);
            bytes[here..size].copy_from_slice(&second[..size - here]);
        }
        u64::from_le_bytes(bytes)
    }
}

/// The words that two captures have differently, with both values.
pub fn differences(a: &Memory<'_>, b: &Memory<'_>) -> Vec<(Place, u64, u64)> {
    let places: BTreeSet<Place> = a.places().chain(b.places()).collect();
    let mut differences = Vec::new();
    for place in places {
        let (page_a, page_b) = (a.page(place), b.page(place));
        if page_a == page_b {
            continue;
        }
        match a.word_size() {
            4 => differing::<4>(place, &page_a, &page_b, &mut differences),
            _ => differing::<8>(place, &page_a, &page_b, &mut differences),
        }
    }
    differences
}

/// The words, each of so many bytes, that two pages have differently.
fn differing<const SIZE: usize>(
    place: Place,
    a: &[u8; PAGE as usize],
    b: &[u8; PAGE as usize],
    differences: &mut Vec<(Place, u64, u64)>,
) {
    let words = a.as_chunks::<SIZE>().0.iter().zip(b.as_chunks::<SIZE>().0);
    for (index, (word_a, word_b)) in words.enumerate() {
        if word_a != word_b {
            let at = place + (SIZE * index) as u64;
            differences.push((at, little_endian(word_a), little_endian(word_b)));
        }
    }
}

/// Compares two captures word by word.
pub fn compare(a: &Memory<'_>, b: &Memory<'_>, known: &Known) -> Compared {
    let mut compared = Compared::default();
    let mut open = Vec::new();
    for (at, word_a, word_b) in differences(a, b) {
        match explain(word_a, word_b, known) {
            Some(Meaning::Slid(group)) => compared.slid.push(Slid { at, value: word_a, group }),
            Some(Meaning::Known(values)) => {
                compared.fixups.extend(values.into_iter().map(|(offset, width, value)| Fixup {
                    at: at + offset,
                    width,
                    value,
                }));
            }
            None => open.push((at, word_a, word_b)),
        }
    }
    explain_unaligned(a, b, known, open, &mut compared);
    compared
}

/// Why a word has these two values.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// A pointer into this group.
    Slid(usize),
    /// Offset in the word, width and value of what is in it.
    Known(Vec<(u64, u8, Value)>),
}

fn explain(a: u64, b: u64, known: &Known) -> Option<Meaning> {
    if let Some(group) = known.group(a, b) {
        return Some(Meaning::Slid(group));
    }
    let width = known.word as u8;
    if let Some(value) = known.find(a, b) {
        let value = value.into_iter().map(|value| (0, value.width(width), value));
        return Some(Meaning::Known(value.collect()));
    }
    if width == 4 {
        return None;
    }
    // Fields of four bytes, one or both of them varying.
    let mut values = Vec::new();
    for (offset, shift) in [(0, 0), (4, 32)] {
        let (a, b) = (a >> shift & 0xffff_ffff, b >> shift & 0xffff_ffff);
        if a != b {
            values.extend(known.find(a, b)?.map(|value| (offset, 4, value)));
        }
    }
    Some(Meaning::Known(values))
}

/// Relocations may lie at any address (packed structures, code with text relocations).
fn explain_unaligned(
    a: &Memory<'_>,
    b: &Memory<'_>,
    known: &Known,
    open: Vec<(Place, u64, u64)>,
    compared: &mut Compared,
) {
    let size = known.word;
    let mut covered = Place::default();
    for (at, word_a, word_b) in open {
        let differing = (word_a ^ word_b).to_le_bytes();
        let mut byte = 0;
        while let Some(next) =
            (byte..size as usize).find(|&i| differing[i] != 0 && at + i as u64 >= covered)
        {
            // A pointer's lowest byte never differs, the block being aligned to pages.
            let first = at + next as u64;
            let window = (0..size)
                .map(|before| first.saturating_sub(size - 1 - before))
                .filter(|&start| !start.is_multiple_of(size) && start >= covered)
                .find_map(|start| Some((start, known.group(a.word(start), b.word(start))?)));
            let Some((start, group)) = window else {
                compared.unexplained.push((at, word_a, word_b));
                break;
            };
            compared.slid.push(Slid { at: start, value: a.word(start), group });
            covered = start + size;
            byte = next + 1;
        }
    }
}

/// Overwrites bytes of the output's pages, across page boundaries.
pub fn write(pages: &mut BTreeMap<Place, PageBytes>, at: Place, bytes: &[u8]) {
    let start = at.in_page();
    let here = bytes.len().min(PAGE as usize - start);
    if let Some(page) = pages.get_mut(&at.page()) {
        page[start..start + here].copy_from_slice(&bytes[..here]);
    }
    if here < bytes.len() {
        write(pages, at + here as u64, &bytes[here..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_explained_by_how_they_differ() {
        let slide = 0x2a5_c000_0000;
        let further = slide + 0x400_0000;
        let known = Known::for_test(
            &[slide, further],
            &[(0x7ff0, 0x7ee0, Value::Envp), (1, 4, Value::Argc)],
        );
        let fix = |values: &[(u64, u8, Value)]| Some(Meaning::Known(values.to_vec()));
        for (a, b, meaning) in [
            (0x5000, 0x5000 + slide, Some(Meaning::Slid(0))),
            (0x5000, 0x5000 + further, Some(Meaning::Slid(1))),
            // Biased below zero, as l_gnu_chain_zero is.
            (u64::MAX - 5, slide - 6, Some(Meaning::Slid(0))),
            (0x7ff0, 0x7ee0, fix(&[(0, 8, Value::Envp)])),
            (0x9_0000_0001, 0x9_0000_0004, fix(&[(0, 4, Value::Argc)])),
            (0x1_0000_0009, 0x4_0000_0009, fix(&[(4, 4, Value::Argc)])),
            (0x1_0000_0001, 0x4_0000_0004, fix(&[(0, 4, Value::Argc), (4, 4, Value::Argc)])),
            // In a frame of the loader's.
            (0x7fff_ef00, 0x7eee_df00, fix(&[(0, 8, Value::Stack(-0x100))])),
            (0x7fff_ef00, 0x7eee_df08, None),
            (0x5000, 0x5008, None),
            (0x7ee0, 0x7ff0, None),
        ] {
            assert_eq!(explain(a, b, &known), meaning, "{a:#x} {b:#x}");
        }
    }

    #[test]
    fn words_of_four_bytes_are_counted_modulo_their_number() {
        let mut known = Known::for_test(&[0x2940_0000], &[(5, 9, Value::Argc)]);
        known.word = 4;
        for (a, b, meaning) in [
            (0x1840_0010, 0x4180_0010, Some(Meaning::Slid(0))),
            // Biased below zero.
            (0xffff_fff0, 0x293f_fff0, Some(Meaning::Slid(0))),
            (5, 9, Some(Meaning::Known(vec![(0, 4, Value::Argc)]))),
            (5, 8, None),
        ] {
            assert_eq!(explain(a, b, &known), meaning, "{a:#x} {b:#x}");
        }
    }
}

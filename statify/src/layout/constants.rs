//! Words that the starter writes, so that the pages that hold them are in the output as many outputs have them, or not at
//! all: what a page store or a reflink finds twice is kept once.
//!
//! A page that the loader has written to is another one than its file's. What it has written is mostly the same wherever a
//! library is loaded: pointers into itself and other libraries. What is not are pointers into the program and the loader's memory,
//! offsets of thread-local variables, what the loader keeps of its own. Such words are taken out of libraries' pages; memory and
//! pages of the program, which no other output has, lose all words that differ, where these take less room than
//! the page.

use std::collections::BTreeMap;

use statify_elf::{ElfFile, PAGE, PROT_EXEC, little_endian, page_down, word_mask};
use statify_params::leb128;

use crate::capture::{LOADER, PROGRAM};
use crate::classify::{Image, Module, PageBytes, Region};
use crate::place::Place;

/// The most bytes that words of an output's own page take in the starter's tables: where they take more, little is won, and
/// the starter has much to do.
const MOST_OWN: usize = PAGE as usize / 2;
/// The same of a library's page, which is to be as other outputs have it: stores may have it in a chunk of many pages.
const MOST_SHARED: usize = PAGE as usize;
/// So many further words of a library's page are written, too, if it is the file's page then.
const FEW: usize = 8;

/// By page, the words to write: place and value; ascending.
pub type Constants = BTreeMap<Place, Vec<(Place, u64)>>;

/// Takes such words out of the image: its pages have in their places what their files have there.
pub fn take(image: &mut Image) -> Constants {
    let mut constants = Constants::new();
    let mut pages = Vec::new();
    let pointers = Pointers::of(image);
    let size = image.machine().word() as usize;
    // What is executable never becomes writable; the agent's index is not complete yet.
    let is_data = |region: &&Region| {
        region.prot & PROT_EXEC == 0 && !image.index.contains(&region.range.start)
    };
    for region in image.regions.iter().filter(is_data) {
        let file = File::of(image, region);
        for (&place, page) in image.pages.range(region.range.clone()) {
            let compared = match size {
                4 => Compared::new::<4>(place, page, &file, &pointers),
                _ => Compared::new::<8>(place, page, &file, &pointers),
            };
            let words = compared.to_write();
            if words.is_empty() {
                continue;
            }
            constants.insert(place, words.iter().map(|word| (word.at, word.value)).collect());
            // With none of them left the page is its file's.
            let is_plain = words.len() == compared.words.len();
            pages.push((place, (!is_plain).then(|| without(page, &words, size))));
        }
    }
    for (place, rest) in pages {
        match rest {
            Some(rest) => drop(image.pages.insert(place, rest)),
            None => drop(image.pages.remove(&place)),
        }
    }
    constants
}

/// A page with what the loader has found in place of these words of so many bytes.
fn without(page: &PageBytes, words: &[Word], size: usize) -> PageBytes {
    let mut rest = page.clone();
    for word in words {
        let at = word.at.in_page();
        rest[at..at + size].copy_from_slice(&word.found.to_le_bytes()[..size]);
    }
    rest
}

/// Words that hold addresses.
struct Pointers<'a> {
    image: &'a Image,
    /// Where they are, and the library that they point into; ascending.
    words: Vec<(Place, Option<usize>)>,
}

impl<'a> Pointers<'a> {
    fn of(image: &'a Image) -> Self {
        let library = |module: usize| library(&image.modules[module]);
        let slides = image.slides.iter().map(|slide| (slide.at, library(slide.target)));
        let mut words: Vec<_> = slides.collect();
        // As many ascending runs as there are modules.
        words.sort();
        Self { image, words }
    }

    /// The library that the word there, of this value, points into, and how far behind its start.
    fn target(&self, at: Place, value: u64) -> Option<(usize, u64)> {
        if self.image.fixed {
            // Nothing slides: an address is a value.
            let modules = &self.image.modules;
            let next = modules.partition_point(|module| module.range.start.value() <= value);
            let module = &modules[next.checked_sub(1)?];
            let object = library(module).filter(|_| value < module.range.end.value())?;
            return Some((object, value - module.range.start.value()));
        }
        let found = self.words.binary_search_by_key(&at, |(at, _)| *at);
        // It is stored relative to where it points.
        found.ok().and_then(|index| Some((self.words[index].1?, value)))
    }
}

/// The object that a module is of, if it is no program.
fn library(module: &Module) -> Option<usize> {
    module.object.filter(|object| *object != PROGRAM)
}

/// What a region has of its file.
struct File<'a> {
    region: &'a Region,
    bytes: &'a [u8],
    /// File offsets at which what is zero in memory begins, in the middle of a page.
    ends: Vec<u64>,
    /// No other output has its words.
    is_own: bool,
    /// Of the loader: its length in memory. Behind it, in its last page, it allocates.
    loader: Option<u64>,
}

impl<'a> File<'a> {
    fn of(image: &'a Image, region: &'a Region) -> Self {
        let bytes = region.file.map(|(object, _)| &image.objects[object].bytes[..]);
        let elf = bytes.and_then(|bytes| ElfFile::parse(bytes).ok());
        let ends = elf.iter().flat_map(|elf| elf.loads()).filter_map(|load| {
            let end = load.p_offset.checked_add(load.p_filesz)?;
            (load.p_memsz > load.p_filesz).then_some(end)
        });
        let object = image.modules[region.module].object;
        Self {
            region,
            bytes: bytes.unwrap_or_default(),
            ends: ends.collect(),
            is_own: region.file.is_none() || object == Some(PROGRAM),
            loader: elf.as_ref().filter(|_| object == Some(LOADER)).and_then(|elf| {
                let ends = elf.loads().map(|load| load.p_vaddr.saturating_add(load.p_memsz));
                Some(ends.max()?.saturating_sub(page_down(elf.span()?.start)))
            }),
        }
    }

    /// The file's page that is mapped at a place, and how many bytes of it the loader does not overwrite with zeros before it
    /// writes anything else.
    fn page(&self, place: Place) -> (PageBytes, usize) {
        let mut plain: PageBytes = Box::new([0; PAGE as usize]);
        let Some((_, offset)) = self.region.file else { return (plain, 0) };
        let start = offset + (place - self.region.range.start);
        let first = self.bytes.len().min(start as usize);
        let bytes = &self.bytes[first..self.bytes.len().min(first + PAGE as usize)];
        plain[..bytes.len()].copy_from_slice(bytes);
        let end = self.ends.iter().find(|end| page_down(**end) == start);
        (plain, end.map_or(PAGE as usize, |end| (end - start) as usize))
    }

    /// Whether a pointer into this library is there wherever this one is loaded.
    fn has_everywhere(&self, target: Option<(usize, u64)>) -> bool {
        target.is_some_and(|(target, offset)| {
            self.loader.is_none_or(|len| target == LOADER && offset < len)
        })
    }
}

/// A word that differs.
#[derive(Clone, Copy)]
struct Word {
    at: Place,
    value: u64,
    /// What the loader has found there.
    found: u64,
    /// Other outputs have it, too.
    is_everywhere: bool,
}

/// The number of 64 bits whose lowest are the word's, with its sign.
fn extended(word: &[u8]) -> u64 {
    let unused = 64 - 8 * word.len().min(8) as u32;
    (little_endian(word) << unused).cast_signed().wrapping_shr(unused).cast_unsigned()
}

/// A page beside its file's.
struct Compared {
    words: Vec<Word>,
    is_own: bool,
}

impl Compared {
    /// By words of so many bytes.
    fn new<const SIZE: usize>(
        place: Place,
        page: &PageBytes,
        file: &File<'_>,
        pointers: &Pointers<'_>,
    ) -> Self {
        let (plain, len) = file.page(place);
        let mut found = plain.clone();
        found[len..].fill(0);
        let words = |page: &'_ PageBytes| page.as_chunks::<SIZE>().0.to_vec();
        let all = words(page).into_iter().zip(words(&plain)).zip(words(&found)).enumerate();
        let differing = all.filter(|(_, ((value, plain), _))| value != plain);
        let words = differing.map(|(index, ((value, _), found))| {
            // Small numbers below zero are short, as in words of 64 bits.
            let [value, found] = [value, found].map(|word| extended(&word));
            let at = place + (SIZE * index) as u64;
            // What is zero in the beginning is not relocated: the loader or the library keep something there.
            let may_be = SIZE * index < len;
            let is_everywhere = value == found
                || may_be
                    && file.has_everywhere(pointers.target(at, value & word_mask(SIZE as u64)));
            Word { at, value, found, is_everywhere }
        });
        Self { words: words.collect(), is_own: file.is_own }
    }

    /// What is to be written rather than to be in the file.
    fn to_write(&self) -> Vec<Word> {
        let is_taken = |word: &&Word| self.is_own || !word.is_everywhere;
        let mut taken: Vec<Word> = self.words.iter().filter(is_taken).copied().collect();
        let size: usize = taken.iter().map(|word| 1 + leb128::signed_len(word.value)).sum();
        if size > if self.is_own { MOST_OWN } else { MOST_SHARED } {
            return Vec::new();
        }
        // Whether others are taken or not: the page is to be the same in all outputs.
        if self.words.len() - taken.len() <= FEW {
            taken.clone_from(&self.words);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many words, which are everywhere as `everywhere` says of their numbers.
    fn compared(count: u64, is_own: bool, everywhere: impl Fn(u64) -> bool) -> Compared {
        let word = |number: u64| Word {
            at: Place::new(8 * number),
            value: number + 1,
            found: 0,
            is_everywhere: everywhere(number),
        };
        Compared { words: (0..count).map(word).collect(), is_own }
    }

    fn written(compared: &Compared) -> Vec<u64> {
        compared.to_write().iter().map(|word| word.at.value() / 8).collect()
    }

    #[test]
    fn of_a_librarys_page_what_others_do_not_have_is_written() {
        assert_eq!(written(&compared(100, false, |number| number != 7)), [7]);
        assert!(written(&compared(100, false, |_| true)).is_empty());
        // A few more make the page the file's, whatever else is in it.
        assert_eq!(written(&compared(5, false, |number| number != 2)), [0, 1, 2, 3, 4]);
        assert_eq!(written(&compared(5, false, |_| true)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn of_an_outputs_own_page_all_is_written_if_that_takes_less_room() {
        assert_eq!(written(&compared(400, true, |_| true)).len(), 400);
        let mut full = compared(512, true, |_| true);
        full.words.iter_mut().for_each(|word| word.value = u64::MAX / 3);
        assert!(written(&full).is_empty());
    }

    #[test]
    fn what_is_not_written_is_as_the_loader_has_found_it() {
        let page: PageBytes = Box::new([1; PAGE as usize]);
        let word = Word { at: Place::new(16), value: 9, found: 3, is_everywhere: false };
        let rest = without(&page, &[word], 8);
        assert_eq!(rest[16..24], 3u64.to_le_bytes());
        assert!(rest[..16].iter().chain(&rest[24..]).all(|&byte| byte == 1));
    }
}

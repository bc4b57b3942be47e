//! The C library's variables (GLIBC_TUNABLES, MALLOC_*), which glibc's loader reads before its hand-off:
//! whether its function for that can be called again in an output, so that they count at each start.
//!
//! In a captured process at its hand-off it is called with two variables. It must write their values,
//! as they are, into the loader's data, and change nothing but the loader's and the C library's. From
//! 2.34 on `__libc_early_init` takes over what threads (2.42: malloc, too) are concerned by; called again
//! without a variable, it must change nothing.

use std::collections::BTreeSet;

use memchr::memmem;
use statify_elf::{PAGE, little_endian, page_down, word_mask};
use statify_format::variables::{BY_LIBRARY, BY_LOADER, BY_OLDER_LOADER, FROZEN};

use super::frame::Frame;
use crate::capture::rehearse::Rehearsal;
use crate::capture::{Capture, Pages, functions, tunables};
use crate::place::Place;

/// What the starter calls where such a variable is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunables {
    /// `__tunables_init`.
    pub read: Place,
    /// `__libc_early_init`.
    pub take_over: Option<Place>,
    /// Pages that they may write to, though they are read-only later.
    pub written: BTreeSet<Place>,
}

/// What becomes of the variables at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variables {
    /// The C library itself reads those that it has, after the hand-off: musl, and glibc before 2.26.
    ByLibrary,
    /// The loader's function is called.
    ByLoader(Tunables),
    /// They have no effect: it is not understood how the loader reads them.
    Frozen,
}

impl Variables {
    /// What is known of this loader; `found` is what [`study`] has found.
    pub fn of(found: Option<Tunables>, loader: &[u8]) -> Self {
        match found {
            Some(tunables) => Self::ByLoader(tunables),
            None if memmem::find(loader, tunables::NAME).is_some() => Self::Frozen,
            None => Self::ByLibrary,
        }
    }

    /// The loader's part.
    pub fn tunables(&self) -> Option<&Tunables> {
        match self {
            Self::ByLoader(tunables) => Some(tunables),
            Self::ByLibrary | Self::Frozen => None,
        }
    }

    /// For people: which variables count ([`statify_format::variables`]). `by_cpu`: the record of the CPU can be made at start.
    pub fn describe(&self, by_cpu: bool) -> &'static str {
        match self {
            Self::ByLibrary => BY_LIBRARY,
            Self::ByLoader(_) if by_cpu => BY_LOADER,
            Self::ByLoader(_) => BY_OLDER_LOADER,
            Self::Frozen => FROZEN,
        }
    }
}

/// Variables, and values that occur nowhere by chance.
const VARIABLES: [(&str, u64); 2] =
    [("MALLOC_ARENA_MAX", 0x2d7a_91c4_63e5), ("MALLOC_TOP_PAD_", 0x51c8_3e96_a7fb)];
/// So far below the initial stack pointer the variables lie: neither in the frames of what is called
/// nor below what the kernel maps.
const BELOW: u64 = 32 << 10;
/// The function of the C library, in glibc since 2.32.
const TAKE_OVER: &[u8] = b"__libc_early_init";

/// Finds it out, in a process at its hand-off. `read` is the address of the loader's function.
pub fn study(
    capture: &Capture,
    rehearsal: &mut Rehearsal<'_>,
    read: u64,
    fixed: bool,
) -> Option<Tunables> {
    let loader = &capture.loader()?.range;
    let take_over = take_over(capture);
    let environment = capture.stack.sp.checked_sub(BELOW)?;
    let word = capture.machine.word();
    let text = variables(environment, word);
    let within: Vec<u64> = [loader.start]
        .into_iter()
        .chain(take_over.as_ref().map(|&(_, function)| function))
        .collect();
    if let Some((_, function)) = take_over {
        let again = rehearsal.call_all(capture, &within, (environment, &text), &[(function, 1)]);
        again.filter(|pages| changed(capture, pages).is_empty())?;
    }
    let mut calls = vec![(read, environment)];
    calls.extend(take_over.map(|(_, function)| (function, 1)));
    let pages = rehearsal.call_all(capture, &within, (environment, &text), &calls)?;
    let words = changed(capture, &pages);
    let library = take_over.map(|(library, _)| &capture.objects[library].range);
    let is_expected = |at: &u64| loader.contains(at) || library.is_some_and(|l| l.contains(at));
    let is_there = |value| words.iter().any(|&(at, word)| word == value && loader.contains(&at));
    if !words.iter().all(|(at, _)| is_expected(at))
        || !VARIABLES.iter().all(|v| is_there(value(v.1, word)))
    {
        return None;
    }
    let frame = Frame::new(capture, fixed);
    let locked = capture.locked_regions(within.iter().copied());
    let written = locked.iter().flat_map(|region| {
        let pages = pages.addresses().iter().copied();
        pages.filter(|page| region.range.contains(page)).map(|page| frame.place(page))
    });
    let written = written.collect();
    let take_over = take_over.map(|(_, function)| frame.place(function));
    Some(Tunables { read: frame.place(read), take_over, written })
}

/// As much of a variable's value as a word of so many bytes holds, whatever its sign.
fn value(value: u64, word: u64) -> u64 {
    value & word_mask(word) >> 1
}

/// An environment of [`VARIABLES`] alone, to lie at `at`; words have so many bytes.
fn variables(at: u64, word: u64) -> Vec<u8> {
    let texts = VARIABLES.map(|(name, number)| format!("{name}={}\0", value(number, word)));
    let mut next = at + word * (texts.len() as u64 + 1);
    let mut bytes = Vec::new();
    for text in &texts {
        bytes.extend(&next.to_le_bytes()[..word as usize]);
        next += text.len() as u64;
    }
    bytes.extend(&[0; 8][..word as usize]);
    bytes.extend(texts.concat().as_bytes());
    bytes
}

/// The object that defines [`TAKE_OVER`], and the function's address. The C library alone has it, and that is known by its
/// name.
pub fn take_over(capture: &Capture) -> Option<(usize, u64)> {
    functions::exported(capture, TAKE_OVER, |name| name == b"libc.so.6")
}

/// The words that are others than at the hand-off, with what they are now.
fn changed(capture: &Capture, pages: &Pages) -> Vec<(u64, u64)> {
    const NOTHING: &[u8] = &[];
    let mut words = Vec::new();
    for (address, page) in pages.iter() {
        let file = || capture.file_page(capture.region_at(address)?, page_down(address));
        let before = capture.pages.get(address).or_else(file).unwrap_or(NOTHING);
        if before == page {
            continue;
        }
        let size = capture.machine.word() as usize;
        for offset in (0..PAGE as usize).step_by(size) {
            let word = |bytes: &[u8]| {
                let from = bytes.get(offset..).unwrap_or(NOTHING);
                little_endian(&from[..from.len().min(size)])
            };
            if word(before) != word(page) {
                words.push((address + offset as u64, word(page)));
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn an_environment_is_an_array_of_pointers_to_strings() {
        let bytes = variables(0x1000, 8);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        for (index, begin) in [(0, "MALLOC_ARENA_MAX=5"), (1, "MALLOC_TOP_PAD_=8")] {
            let text = &bytes[(word(8 * index) - 0x1000) as usize..];
            assert!(text.starts_with(begin.as_bytes()), "{text:?}");
        }
        assert_eq!(word(16), 0);
        assert_eq!(bytes.last(), Some(&0));
    }
}

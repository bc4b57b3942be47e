//! musl's loader remembers where it looks for libraries, once it has looked: the contents of a
//! file of the machine, or a constant without that file. An output must not look where the
//! machine of the conversion did, but ask the machine it runs on.

use statify_elf::c_library::musl;
use statify_elf::{PAGE, PROT_WRITE, little_endian};

use super::frame::Frame;
use super::words;
use crate::capture::Capture;
use crate::place::Place;

/// What the loader remembers.
#[derive(Debug, PartialEq, Eq)]
pub struct SearchPath {
    /// The word of its data that points to the text, and that is null before it has looked.
    pub pointer: Place,
    /// The text, if it is one read from the machine's file: its place and length.
    pub text: Option<(Place, usize)>,
}

/// Finds it, by the text. `None` if the loader has not looked, or looks nowhere.
pub fn find(capture: &Capture, frame: &Frame) -> Option<SearchPath> {
    let text = capture.search_path.as_deref().unwrap_or(musl::DEFAULT_SEARCH_PATH);
    if text.is_empty() {
        return None;
    }
    let remembered = [text, b"\0"].concat();
    let memory = words::Memory { capture, frame };
    let data = capture.pages.iter().filter(|&(address, _)| {
        let range = capture.loader().map(|loader| loader.range.clone());
        let writable = |region: &crate::capture::Region| region.prot & PROT_WRITE != 0;
        range.is_some_and(|range| range.contains(&address))
            && capture.region_at(address).is_some_and(writable)
    });
    for (address, page) in data {
        let size = memory.word_size();
        for (index, word) in page.chunks_exact(size as usize).enumerate() {
            let target = little_endian(word);
            if starts_with(&memory, target, &remembered) {
                let pointer = frame.place(address + size * index as u64);
                let text = capture.search_path.as_ref().map(|_| (frame.place(target), text.len()));
                return Some(SearchPath { pointer, text });
            }
        }
    }
    None
}

/// Whether a capture's memory has these bytes at an address.
fn starts_with(memory: &words::Memory<'_>, mut address: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if memory.capture.region_at(address).is_none() {
            return false;
        }
        let page = memory.page(memory.frame.place(address & !(PAGE - 1)));
        let here = &page[(address % PAGE) as usize..];
        let here = &here[..here.len().min(bytes.len())];
        if !bytes.starts_with(here) {
            return false;
        }
        bytes = &bytes[here.len()..];
        address += here.len() as u64;
    }
    true
}

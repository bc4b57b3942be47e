//! What belongs to the machine or the moment of the conversion and means nothing elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use statify_elf::machine;
use statify_elf::{PAGE, page_down};
use statify_params::agent::FILE_DEVICE;

use super::frame::Frame;
use super::memory::PageBytes;
use super::words;
use crate::capture::Capture;
use crate::place::Place;

/// The loader remembers device and inode of each file (`struct r_file_id`), to know a file that is
/// opened again by another path. On another machine they would mean another file: they become a
/// device that no file has, and a number for each object (its index plus 1). Returns the objects
/// that the loader remembers so. They may be in a module's page, whose tails musl allocates from, but
/// never where they are in the module's file.
pub fn file_ids(
    capture: &Capture,
    frame: &Frame,
    pages: &mut BTreeMap<Place, PageBytes>,
) -> BTreeSet<usize> {
    let bytes =
        |device: u64, inode: u64| (u128::from(device) | u128::from(inode) << 64).to_le_bytes();
    let ids: BTreeMap<[u8; 16], usize> = capture
        .objects
        .iter()
        .enumerate()
        .map(|(index, object)| (bytes(object.id.0, object.id.1), index))
        .collect();
    // Nearly no word is the number of a device.
    let devices: BTreeSet<[u8; 8]> =
        capture.objects.iter().map(|object| object.id.0.to_le_bytes()).collect();
    let memory = words::Memory { capture, frame };
    // As captured: a pointer of the output, stored relative to its module, may be any number.
    let is_id = |place: Place| {
        let words = [memory.number(place, 8), memory.number(place + 8, 8)].map(u64::to_le_bytes);
        words.as_flattened().first_chunk().is_some_and(|bytes| ids.contains_key(bytes))
    };
    let is_written = |place: Place, bytes: &[u8; 16]| {
        let address = frame.address(place);
        let file = |region| capture.file_page(region, page_down(address));
        let page = capture.region_at(address).and_then(file).unwrap_or_default();
        let at = (address % PAGE) as usize;
        page.get(at..at + bytes.len()).is_none_or(|original| original != bytes)
    };
    let found = find(pages, memory.word_size() as usize, |place, bytes: &[u8; 16]| {
        bytes.first_chunk().is_some_and(|device| devices.contains(device))
            && ids.contains_key(bytes)
            && is_id(place)
            && is_written(place, bytes)
    });
    let mut objects = BTreeSet::new();
    for (place, id) in found {
        let object = ids[&id];
        words::write(pages, place, &bytes(FILE_DEVICE, object as u64 + 1));
        objects.insert(object);
    }
    objects
}

/// The loader keeps what CPUID says, the APIC id of the CPU that it ran on included.
pub fn apic_ids(capture: &Capture, pages: &mut BTreeMap<Place, PageBytes>) {
    let identity = capture.cpu_identity;
    for (place, _) in find(pages, 4, |_, bytes: &[u8; 8]| *bytes == identity) {
        words::write(pages, place, &machine::without_apic_id(identity));
    }
}

/// Where `N` bytes at a multiple of `step` are wanted, and the bytes; they may lie across two pages.
fn find<const N: usize>(
    pages: &BTreeMap<Place, PageBytes>,
    step: usize,
    wanted: impl Fn(Place, &[u8; N]) -> bool,
) -> Vec<(Place, [u8; N])> {
    let mut found = Vec::new();
    for (&place, page) in pages {
        let mut window = page.to_vec();
        window.extend(pages.get(&(place + PAGE)).map_or(&[0; N][..], |next| &next[..N]));
        for at in (0..PAGE as usize).step_by(step) {
            let place = place + at as u64;
            if let Some(bytes) =
                window[at..].first_chunk::<N>().filter(|bytes| wanted(place, bytes))
            {
                found.push((place, *bytes));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_across_pages() {
        let mut first: PageBytes = Box::new([0; PAGE as usize]);
        let mut second = first.clone();
        first[4088..].fill(7);
        second[..8].fill(8);
        let pages = BTreeMap::from([(Place::new(0x3000), first), (Place::new(0x4000), second)]);
        let pattern: [u8; 16] = [[7u8; 8], [8; 8]].concat().try_into().unwrap();
        let found = find(&pages, 8, |_, bytes: &[u8; 16]| *bytes == pattern);
        assert_eq!(found, [(Place::new(0x3ff8), pattern)]);
    }
}

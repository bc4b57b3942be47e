//! Bytes of an image overwritten.

use statify_elf::PAGE;

use crate::classify::{Image, PageBytes};
use crate::place::Place;

/// Overwrites bytes of the image.
pub fn write(image: &mut Image, at: Place, bytes: &[u8]) {
    let mut at = at;
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = at.in_page();
        let (some, more) = rest.split_at(rest.len().min(PAGE as usize - offset));
        let page = page_of(image, at.page());
        page[offset..offset + some.len()].copy_from_slice(some);
        at += some.len() as u64;
        rest = more;
    }
}

/// A page of the image, to be changed.
fn page_of(image: &mut Image, place: Place) -> &mut PageBytes {
    let region = image.regions.iter().find(|region| region.range.contains(&place));
    let file = region.and_then(|region| {
        let (object, offset) = region.file?;
        let start = (offset + (place - region.range.start)) as usize;
        let bytes = &image.objects[object].bytes;
        bytes.get(start..bytes.len().min(start + PAGE as usize))
    });
    image.pages.entry(place).or_insert_with(|| {
        let mut page: PageBytes = Box::new([0; PAGE as usize]);
        if let Some(file) = file {
            page[..file.len()].copy_from_slice(file);
        }
        page
    })
}

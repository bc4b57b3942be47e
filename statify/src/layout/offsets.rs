//! Where everything lies in the file. What is an output's own lies together in front: headers, tables and starter, what it says of
//! itself, the program, the loader's memory. The libraries, which other outputs have, too, come behind, each at a multiple of
//! what was asked for: stores that cut files into chunks find them again.

use std::ops::Range;

use statify_elf::PAGE;
use statify_format::build_id;

use super::pieces::Piece;
use super::segments::Segment;
use crate::capture::PROGRAM;
use crate::classify::Image;

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Program,
    /// Of no file.
    Memory,
    Library,
}

/// Gives every segment its place in the file, from `start` on, but none of what is `kept` free
/// (ascending). Where pages have up to `largest_page` bytes, none is of two segments. Returns the end.
pub fn assign(
    image: &Image,
    segments: &mut [Segment],
    start: u64,
    align: u64,
    largest_page: u64,
    kept: &[Range<u64>],
) -> u64 {
    let class = |segment: &Segment| match image.modules[segment.module].object {
        Some(PROGRAM) => Class::Program,
        Some(_) => Class::Library,
        None => Class::Memory,
    };
    let stored = segments.iter_mut().filter(|segment| segment.file_len > 0);
    let mut stored: Vec<&mut Segment> = stored.collect();
    stored.sort_by_key(|segment| class(segment));
    let of_program = stored.iter().filter(|segment| class(segment) == Class::Program);
    // A small one is no chunk of its own.
    let is_large = of_program.map(|segment| segment.file_len).sum::<u64>() >= 2 * align;
    let mut kept = kept.iter().peekable();
    let mut offset = start;
    let mut module = usize::MAX;
    for segment in stored {
        let is_aligned = match class(segment) {
            Class::Program => is_large,
            Class::Memory => false,
            Class::Library => true,
        };
        let align = if segment.module != module && is_aligned { align } else { PAGE };
        // As far within a page as in memory.
        let within = segment.range.start.value() % largest_page;
        let next = |offset: u64| offset.next_multiple_of(align.max(largest_page)) + within;
        offset = next(offset);
        while let Some(range) = kept.next_if(|range| range.start < offset + segment.file_len) {
            offset = next(offset.max(range.end));
        }
        module = segment.module;
        segment.offset = offset;
        offset += segment.file_len;
    }
    kept.last().map_or(offset, |last| offset.max(last.end))
}

/// How many bytes an output takes to say of itself what it holds, at most but for strange names.
pub fn description(image: &Image, pieces: &[Piece]) -> u64 {
    /// Compressed, in bytes: measured.
    const ALL: usize = 512;
    const FILE: usize = 170;
    const PIECE: usize = 18;
    let pages: u64 = pieces.iter().map(|piece| (piece.range.end - piece.range.start) / PAGE).sum();
    let manifest = ALL + image.objects.len() * FILE + pieces.len() * PIECE;
    (manifest + build_id::sums_len(pages as usize)) as u64
}

//! Which pages take file space: runs of pieces that the kernel can map alike, cut where enough
//! zero pages lie between.

use std::ops::Range;

use statify_elf::{PAGE, PROT_READ, PROT_WRITE};

use super::pieces::Piece;
use crate::classify::Image;
use crate::place::Place;

/// Zero pages in a row that are worth a mapping of their own (about 1.75 us at each start) rather
/// than space in the file.
const ZERO_RUN: u64 = 16;

/// A run of memory: pages from the file, then zero pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies.
    pub range: Range<Place>,
    /// How many bytes of it are in the file.
    pub file_len: u64,
    /// Where they are there.
    pub offset: u64,
    /// PROT_* as it is mapped.
    pub prot: u32,
    /// The module that it begins in, by index.
    pub module: usize,
    /// Nothing of it can be accessed when the program runs.
    pub is_hole: bool,
}

impl Segment {
    /// Has it mapped writable, for the starter to give its pieces their permissions. Loaders disagree
    /// on zero pages that nobody may write to or reach; and a gap, mapped by the starter only, may
    /// have been given to the vDSO by then.
    pub fn make_writable(&mut self, pieces: &mut [Piece]) {
        self.prot = PROT_READ | PROT_WRITE;
        for piece in pieces.iter_mut().filter(|piece| self.range.contains(&piece.range.start)) {
            piece.load_prot = PROT_READ | PROT_WRITE;
        }
    }

    /// The part that is in the file.
    pub fn file_range(&self) -> Range<Place> {
        self.range.start..self.range.start + self.file_len
    }
}

/// Joins pieces and separates what is zero, at multiples of `largest_page`.
pub fn choose(image: &Image, pieces: &mut [Piece], largest_page: u64) -> Vec<Segment> {
    let mut runs: Vec<(Range<Place>, u32, usize)> = Vec::new();
    for piece in pieces.iter() {
        let same_file_run = |last: &(Range<Place>, u32, usize)| {
            last.2 == piece.module || image.modules[piece.module].object.is_none()
        };
        match runs.last_mut() {
            Some(last)
                if last.0.end == piece.range.start
                    && last.1 == piece.load_prot
                    && same_file_run(last) =>
            {
                last.0.end = piece.range.end;
            }
            _ => runs.push((piece.range.clone(), piece.load_prot, piece.module)),
        }
    }
    let mut segments: Vec<Segment> = runs
        .into_iter()
        .flat_map(|(range, prot, module)| cut_zeros(image, range, prot, module, largest_page))
        .collect();
    for segment in &mut segments {
        let has_zeros = segment.file_range().end < segment.range.end;
        if segment.prot & PROT_WRITE == 0 && has_zeros {
            segment.make_writable(pieces);
        }
    }
    segments
}

fn cut_zeros(
    image: &Image,
    range: Range<Place>,
    prot: u32,
    module: usize,
    largest_page: u64,
) -> Vec<Segment> {
    let is_hole = prot == 0;
    let segment = |range: Range<Place>, file_len| Segment {
        range,
        file_len,
        offset: 0,
        prot,
        module,
        is_hole,
    };
    if prot & PROT_READ == 0 {
        return vec![segment(range, 0)];
    }
    let mut segments: Vec<Segment> = Vec::new();
    for data in data_runs(image, &range, largest_page) {
        let len = data.end - data.start;
        match segments.last_mut() {
            Some(last) if data.start - last.file_range().end < ZERO_RUN * PAGE => {
                last.range.end = data.end;
                last.file_len = data.end - last.range.start;
            }
            Some(last) => {
                last.range.end = data.start;
                segments.push(segment(data, len));
            }
            None if data.start - range.start < ZERO_RUN * PAGE => {
                segments.push(segment(range.start..data.end, data.end - range.start));
            }
            None => {
                segments.push(segment(range.start..data.start, 0));
                segments.push(segment(data, len));
            }
        }
    }
    match segments.last_mut() {
        Some(last) => last.range.end = range.end,
        None => segments.push(segment(range, 0)),
    }
    segments
}

/// The maximal runs of pages that have to be in the file; each begins at a multiple of `largest_page`, or where the range does.
fn data_runs(image: &Image, range: &Range<Place>, largest_page: u64) -> Vec<Range<Place>> {
    let mut runs: Vec<Range<Place>> = Vec::new();
    let mut add = |data: Range<Place>| {
        let start = data.start.align_down(largest_page).max(range.start);
        match runs.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(data.end),
            _ => runs.push(start..data.end),
        }
    };
    for region in
        image.regions.iter().filter(|r| r.range.start < range.end && range.start < r.range.end)
    {
        let within = region.range.start.max(range.start)..region.range.end.min(range.end);
        if region.file.is_some() {
            add(within);
        } else {
            for (&place, _) in image.pages.range(within) {
                add(place..place + PAGE);
            }
        }
    }
    runs
}

/// Whether a segment must be moved to an absolute address, which a position-independent output
/// has no program header for.
pub fn must_move(image: &Image, segment: &Segment) -> bool {
    !image.fixed && segment.range.start.is_absolute()
}

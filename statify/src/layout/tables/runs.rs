//! Runs of pages that are treated alike at start.

use std::collections::BTreeSet;

use statify_elf::PAGE;
use statify_params::PROT_BTI;

use crate::layout::large_pages;
use crate::layout::pieces::Piece;
use crate::layout::placement::Addresses;
use crate::place::Place;

/// Runs of pages that will be written.
pub fn populates(
    patched: &BTreeSet<Place>,
    addresses: &Addresses,
) -> impl Iterator<Item = (Place, u64)> {
    let mut runs: Vec<(Place, u64)> = Vec::new();
    for &page in patched {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == page && addresses.slide_alike(*start, page) => {
                *len += PAGE;
            }
            _ => runs.push((page, PAGE)),
        }
    }
    runs.into_iter().filter(|(_, len)| *len > PAGE)
}

/// Where the final permissions differ from those while patching; for pages of up to `largest_page` bytes.
pub fn protects<'a>(
    pieces: &'a [Piece],
    addresses: &Addresses,
    largest_page: u64,
) -> impl Iterator<Item = (Place, u64, u32)> + 'a {
    const OF_GUARD: u32 = PROT_BTI as u32;
    let changed = pieces.iter().filter(|piece| piece.prot != piece.load_prot || piece.guarded);
    let guard = |piece: &Piece| if piece.guarded { OF_GUARD } else { 0 };
    let runs = runs(changed.map(move |piece| (piece, piece.prot | guard(piece))), addresses);
    runs.into_iter().map(move |(start, len, prot)| {
        let alike = |piece: &Piece| piece.prot == prot & !OF_GUARD;
        (start, len, prot | large_pages::ends(pieces, &(start..start + len), largest_page, alike))
    })
}

/// Neighbours with the same permissions as one.
fn runs<'a>(
    pieces: impl Iterator<Item = (&'a Piece, u32)>,
    addresses: &Addresses,
) -> Vec<(Place, u64, u32)> {
    let mut runs: Vec<(Place, u64, u32)> = Vec::new();
    for (piece, prot) in pieces {
        let len = piece.range.end - piece.range.start;
        match runs.last_mut() {
            Some((start, run, last))
                if *start + *run == piece.range.start
                    && *last == prot
                    && addresses.slide_alike(*start, piece.range.start) =>
            {
                *run += len;
            }
            _ => runs.push((piece.range.start, len, prot)),
        }
    }
    runs
}

/// What is sealed: runs without gaps, whatever their permissions; for pages of up to `largest_page` bytes.
pub fn seals<'a>(
    pieces: &'a [Piece],
    addresses: &Addresses,
    largest_page: u64,
) -> impl Iterator<Item = (Place, u64, u32)> + 'a {
    let mut runs: Vec<(Place, u64)> = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.seal) {
        let len = piece.range.end - piece.range.start;
        match runs.last_mut() {
            Some((start, run))
                if *start + *run == piece.range.start
                    && addresses.slide_alike(*start, piece.range.start) =>
            {
                *run += len;
            }
            _ => runs.push((piece.range.start, len)),
        }
    }
    runs.into_iter().map(move |(start, len)| {
        let range = start..start + len;
        (start, len, large_pages::ends(pieces, &range, largest_page, |piece| piece.seal))
    })
}

//! Pages larger than 4 KiB. Kernels of some machines have them, and what shares such a page has the same permissions there and
//! comes from one place of the file.
//!
//! Pieces and all else of a layout are of 4 KiB each, so that a kernel with small pages gives them what their original has
//! there. Where pages are larger, the starter rounds: a page that two ranges share is left to the weaker one, as ld.so does it
//! with RELRO.

use std::ops::Range;

use statify_elf::{PROT_EXEC, PROT_READ, PROT_WRITE};
use statify_params::{WHOLE_FIRST, WHOLE_LAST};

use super::pieces::Piece;
use crate::place::Place;

/// Sizes of pages beyond the least, largest first (arch/arm64/Kconfig, ARM64_PAGE_SHIFT).
const LARGER: [u64; 2] = [64 << 10, 16 << 10];

/// The largest size of pages up to `most` for which no page has code and something else, or parts of two modules.
pub fn choose(pieces: &[Piece], most: u64) -> u64 {
    let sizes = LARGER.into_iter().filter(|&size| size <= most);
    let mut fitting = sizes.filter(|&size| sharing(pieces, size).all(|(a, b)| may_share(a, b)));
    fitting.next().unwrap_or(statify_elf::PAGE)
}

/// Has everything that shares a page of this size mapped alike.
pub fn join(pieces: &mut [Piece], size: u64) {
    let both = PROT_READ | PROT_WRITE;
    let differ = |pieces: &[Piece]| {
        let pairs = sharing(pieces, size).filter(|(a, b)| a.load_prot != b.load_prot);
        pairs.flat_map(|(a, b)| [a.range.start, b.range.start]).collect::<Vec<Place>>()
    };
    // Each round gives writable neighbours to those that became writable in the one before.
    loop {
        let starts = differ(pieces);
        if starts.is_empty() {
            return;
        }
        for piece in pieces.iter_mut().filter(|piece| starts.contains(&piece.range.start)) {
            piece.load_prot = both;
        }
    }
}

/// Which of the [`WHOLE_FIRST`] and [`WHOLE_LAST`] hold for a range of pieces: what shares its first or last page of this size
/// is `alike`, or nothing does.
pub fn ends(
    pieces: &[Piece],
    range: &Range<Place>,
    size: u64,
    alike: impl Fn(&Piece) -> bool,
) -> u32 {
    if size == statify_elf::PAGE {
        return 0;
    }
    let is_there = |piece: &&Piece| piece.prot != 0;
    let first = pieces.partition_point(|piece| piece.range.start < range.start);
    let behind = pieces.partition_point(|piece| piece.range.start < range.end);
    let before = pieces[..first].iter().rev().find(is_there);
    let after = pieces[behind..].iter().find(is_there);
    let first = before.is_none_or(|b| !is_one_page(b.range.end, range.start, size) || alike(b));
    let last = after.is_none_or(|a| !is_one_page(range.end, a.range.start, size) || alike(a));
    (if first { WHOLE_FIRST } else { 0 } | if last { WHOLE_LAST } else { 0 }) as u32
}

/// Neighbours of which one ends in the page that the other begins in. What cannot be accessed shares pages with nothing: it
/// is left out of them.
fn sharing(pieces: &[Piece], size: u64) -> impl Iterator<Item = (&Piece, &Piece)> {
    let there: Vec<&Piece> = pieces.iter().filter(|piece| piece.prot != 0).collect();
    let pairs = there.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>();
    pairs.into_iter().filter(move |(a, b)| is_one_page(a.range.end, b.range.start, size))
}

/// Whether what ends at `end` and what begins at `start` share a page.
fn is_one_page(end: Place, start: Place, size: u64) -> bool {
    end.value().saturating_sub(1) / size == start.value() / size
}

fn may_share(a: &Piece, b: &Piece) -> bool {
    let is_code = |piece: &Piece| (piece.prot | piece.load_prot) & PROT_EXEC != 0;
    let alike = (a.prot, a.load_prot, a.guarded) == (b.prot, b.load_prot, b.guarded);
    a.module == b.module && (alike || !is_code(a) && !is_code(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RX: u32 = PROT_READ | PROT_EXEC;
    const RW: u32 = PROT_READ | PROT_WRITE;
    const KIB_64: u64 = 64 << 10;

    fn piece(range: Range<u64>, load_prot: u32, prot: u32, module: usize) -> Piece {
        let range = Place::new(range.start)..Place::new(range.end);
        Piece { range, load_prot, prot, module, seal: false, guarded: false }
    }

    #[test]
    fn code_shares_its_page_with_nothing() {
        let far = [piece(0..0x7000, RX, RX, 0), piece(0x1f000..0x20000, RW, PROT_READ, 0)];
        assert_eq!(choose(&far, KIB_64), KIB_64);
        assert_eq!(choose(&far, 4096), 4096);
        let near = [piece(0..0x7000, RX, RX, 0), piece(0xf000..0x20000, RW, PROT_READ, 0)];
        assert_eq!(choose(&near, KIB_64), 16 << 10);
        let next = [piece(0..0x7000, RX, RX, 0), piece(0x7000..0x8000, RW, PROT_READ, 0)];
        assert_eq!(choose(&next, KIB_64), 4096);
    }

    #[test]
    fn a_page_is_of_one_module() {
        let two = [piece(0..0x7000, RW, RW, 0), piece(0x7000..0x8000, RW, RW, 1)];
        assert_eq!(choose(&two, KIB_64), 4096);
    }

    #[test]
    fn neighbours_in_a_page_are_mapped_alike() {
        let mut pieces = vec![
            piece(0..0x9000, PROT_READ, PROT_READ, 0),
            piece(0x9000..0xa000, 0, 0, 0),
            piece(0xa000..0xb000, PROT_READ, PROT_READ, 0),
            piece(0xb000..0xc000, RW, RW, 0),
            piece(0x1_0000..0x2_0000, PROT_READ, PROT_READ, 0),
        ];
        join(&mut pieces, KIB_64);
        let prots: Vec<u32> = pieces.iter().map(|piece| piece.load_prot).collect();
        assert_eq!(prots, [RW, 0, RW, RW, PROT_READ]);
        let ends = |index: usize| {
            ends(&pieces, &pieces[index].range, KIB_64, |other| other.prot == pieces[index].prot)
        };
        assert_eq!(ends(0), (WHOLE_FIRST | WHOLE_LAST) as u32, "behind the hole is the same");
        assert_eq!(ends(2), WHOLE_FIRST as u32);
        assert_eq!(ends(3), WHOLE_LAST as u32);
        assert_eq!(ends(4), (WHOLE_FIRST | WHOLE_LAST) as u32);
    }
}

//! Fewer segments where there are more than program headers: neighbours become one, and the starter
//! gives each part its own permissions. That costs about as much at a start as program headers of
//! their own (2.4 us a part); what it costs in the file are the zero pages between two segments
//! that become one.
//!
//! What contains code is mapped executable, and the starter takes that away from the other parts: it
//! never makes executable what was not, which a hardened process may not do (PR_SET_MDWE,
//! MemoryDenyWriteExecute).

use super::pieces::{EXECUTE, Piece, READ, WRITE};
use super::segments::Segment;
use crate::classify::Image;

/// Joins segments until no more than `most` are left, or none can be joined: first those of one
/// module, then neighbouring modules, those with the fewest zero pages between them first.
pub fn coalesce(
    image: &Image,
    pieces: &mut [Piece],
    segments: &mut Vec<Segment>,
    most: usize,
    across_modules: bool,
) {
    let before = segments.clone();
    join_where(segments, most, |a, b| a.module == b.module && zeros_behind(a) == 0);
    if across_modules {
        let mut gaps: Vec<u64> = segments.iter().map(zeros_behind).collect();
        gaps.sort_unstable();
        gaps.dedup();
        for gap in gaps {
            let is_object = |segment: &Segment| image.modules[segment.module].object.is_some();
            join_where(segments, most, |a, b| {
                zeros_behind(a) <= gap && is_object(a) && is_object(b)
            });
        }
    }
    let mut result = Vec::with_capacity(segments.len());
    for mut segment in segments.drain(..) {
        if before.contains(&segment) {
            result.push(segment);
        } else if segment.prot & EXECUTE == 0 {
            segment.make_writable(pieces);
            result.push(segment);
        } else {
            make_executable(&segment, pieces);
            let zeros = segment.file_range().end..segment.range.end;
            segment.range.end = zeros.start;
            let module = segment.module;
            result.push(segment);
            if !zeros.is_empty() {
                result.push(Segment {
                    range: zeros,
                    file_len: 0,
                    offset: 0,
                    prot: READ | WRITE,
                    module,
                });
            }
        }
    }
    *segments = result;
}

/// What is patched becomes writable before, everything else is read-only afterwards.
fn make_executable(segment: &Segment, pieces: &mut [Piece]) {
    for piece in pieces.iter_mut().filter(|piece| segment.file_range().contains(&piece.range.start))
    {
        piece.map_prot = READ | EXECUTE;
        if piece.load_prot & WRITE == 0 {
            piece.load_prot = READ | EXECUTE;
        }
    }
}

/// Bytes of zeros that would have to be in the file for a segment to be joined to the next.
fn zeros_behind(segment: &Segment) -> u64 {
    segment.range.end - segment.file_range().end
}

/// How many program headers a segment takes, once joined: its zeros one of their own if it holds
/// code.
fn headers(segment: &Segment) -> usize {
    if segment.prot & EXECUTE != 0 && zeros_behind(segment) > 0 { 2 } else { 1 }
}

fn join_where(
    segments: &mut Vec<Segment>,
    most: usize,
    joins: impl Fn(&Segment, &Segment) -> bool,
) {
    let mut excess = segments.iter().map(headers).sum::<usize>().saturating_sub(most);
    let mut joined: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments.drain(..) {
        match joined.last_mut() {
            Some(last)
                if excess > 0
                    && last.range.end == segment.range.start
                    && last.prot & segment.prot & READ != 0
                    && segment.file_len > 0
                    && joins(last, &segment) =>
            {
                let separate = headers(last) + headers(&segment);
                last.file_len = segment.range.start - last.range.start + segment.file_len;
                last.range.end = segment.range.end;
                last.prot = joined_prot(last.prot, segment.prot);
                excess = excess.saturating_sub(separate - headers(last));
            }
            _ => joined.push(segment),
        }
    }
    *segments = joined;
}

/// Executable if one of them is, else writable if one of them is.
fn joined_prot(a: u32, b: u32) -> u32 {
    let both = a | b;
    if both & EXECUTE != 0 { READ | EXECUTE } else { both }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::PAGE;

    fn segment(start: u64, file: u64, end: u64, module: usize) -> Segment {
        let range = start * PAGE..end * PAGE;
        Segment { range, file_len: (file - start) * PAGE, offset: 0, prot: READ, module }
    }

    #[test]
    fn only_neighbours_are_joined_and_only_as_many_as_must_be() {
        let all = [
            segment(0, 1, 1, 0),
            segment(1, 2, 2, 0),
            segment(2, 3, 5, 0),
            segment(5, 6, 6, 1),
            segment(9, 10, 10, 1),
        ];
        let same_module = |a: &Segment, b: &Segment| a.module == b.module;
        let mut segments = all.to_vec();
        join_where(&mut segments, 4, same_module);
        assert_eq!(segments, [segment(0, 2, 2, 0), all[2].clone(), all[3].clone(), all[4].clone()]);
        let mut segments = all.to_vec();
        join_where(&mut segments, 1, |_, _| true);
        assert_eq!(segments, [segment(0, 6, 6, 0), all[4].clone()]);
    }
}

//! All of memory, frame by frame.

use std::io::{self, Write};
use std::ops::Range;

use super::by_frame::ByFrame;
use super::contents::{Content, Contents, Wanted};
use super::progress::Progress;
use crate::hash::{Hasher, PageHash};
use crate::kernel::StructPages;
use crate::kernel::kpage::KernelPages;
use crate::snapshot::{Attributes, FrameFlags, Writer};

/// So many frames are read while those before are written.
const BLOCK: u64 = 32 << 10;

/// What memory is looked at by.
pub struct Means<'a> {
    /// Reads contents.
    pub contents: &'a ByFrame,
    /// Tells what frames are.
    pub pages: &'a KernelPages,
    /// Tells how often they are used, if that is to be known.
    pub uses: Option<&'a StructPages>,
    /// Computes hashes.
    pub hasher: &'a Hasher,
}

/// Writes frames with these numbers, which are those of `ByFrame::ranges` or a part of them. Free ones are left out unless they are
/// asked for. Frames that change meanwhile are as they were at some time during the scan.
pub fn write<W: Write + Send>(
    means: &Means,
    ranges: &[Range<u64>],
    with_free: bool,
    writer: &mut Writer<W>,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<()> {
    let total = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
    let mut done = 0;
    let mut ready = Vec::new();
    for block in blocks(ranges, BLOCK) {
        let len = block.end - block.start;
        let (written, next) =
            rayon::join(|| write_frames(writer, &ready), || read_frames(means, block, with_free));
        written?;
        ready = next;
        done += len;
        progress(Progress { done, total });
    }
    write_frames(writer, &ready)
}

/// Ranges cut at multiples of `most`.
pub(super) fn blocks(
    ranges: &[Range<u64>],
    most: u64,
) -> impl Iterator<Item = Range<u64>> + use<'_> {
    ranges.iter().flat_map(move |range| {
        let mut start = range.start;
        std::iter::from_fn(move || {
            let end = (start / most + 1).saturating_mul(most).min(range.end);
            let block = start..end;
            start = end;
            (block.start < block.end).then_some(block)
        })
    })
}

/// A frame that is ready to be written.
type Frame = (u64, Attributes, PageHash);

fn write_frames<W: Write>(writer: &mut Writer<W>, frames: &[Frame]) -> io::Result<()> {
    frames.iter().try_for_each(|&(number, attributes, hash)| {
        writer.frame(Some(number), attributes, hash).map(drop)
    })
}

fn read_frames(means: &Means, block: Range<u64>, with_free: bool) -> Vec<Frame> {
    let numbers: Vec<_> = block.collect();
    let mut frames = describe(means, &numbers);
    let is_left_out = FrameFlags::DEVICE.0 | if with_free { 0 } else { FrameFlags::FREE.0 };
    frames.retain(|(_, attributes, _)| attributes.flags.0 & is_left_out == 0);
    fill(means, &mut frames);
    frames
}

/// Frames without contents.
pub(super) fn describe(means: &Means, numbers: &[u64]) -> Vec<Frame> {
    let mut attributes = means.pages.attributes(numbers);
    if let Some(uses) = means.uses {
        for (known, count) in attributes.iter_mut().zip(uses.ref_counts(numbers)) {
            known.ref_count = count;
        }
    }
    let frames = numbers.iter().zip(attributes);
    frames.map(|(&number, attributes)| (number, attributes, PageHash::default())).collect()
}

/// Reads what frames hold.
pub(super) fn fill(means: &Means, frames: &mut [Frame]) {
    let may_be_read = |(_, attributes, _): &Frame| !attributes.flags.has(FrameFlags::UNREAD);
    let wanted = |frame: &Frame| Wanted {
        // No frame has that number.
        number: may_be_read(frame).then_some(frame.0),
        address: 0,
    };
    let wanted: Vec<_> = frames.iter().map(wanted).collect();
    let contents = means.contents.of(&wanted, means.hasher);
    for ((_, attributes, hash), content) in frames.iter_mut().zip(contents) {
        match content {
            Content::Hash(of_page) => *hash = of_page,
            Content::Zero => attributes.flags |= FrameFlags::ZERO,
            Content::Unread => attributes.flags |= FrameFlags::UNREAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_begin_where_large_pages_do() {
        let ranges = [1..0x9f, 0x100..0x250];
        let cut: Vec<_> = blocks(&ranges, 0x100).collect();
        assert_eq!(cut, [1..0x9f, 0x100..0x200, 0x200..0x250]);
        let none = 5..5;
        assert_eq!(blocks(&[none], 4).count(), 0);
    }
}

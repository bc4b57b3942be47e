//! Bytes that an output does not hold itself: blocks of the file system that it shares with the
//! files embedded in it, or with other outputs (ioctl_ficlonerange(2)). Who knows these files and their file system makes
//! them shared; here is said which bytes of the output stem from which bytes of which file.

use std::fmt::Debug;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use crate::capture::PROGRAM;
use crate::classify::Image;
use crate::layout::Segment;
use crate::unloaded::Part;

/// Makes blocks shared.
pub trait Sharing: Debug + Send + Sync {
    /// Makes as much as it can of `output`, from its offset `at` on, blocks that hold `bytes` and
    /// are those of `file`, a path of the root, from its offset `offset` on. Returns which parts of
    /// `bytes` the output has now, ascending; what is left is to be written.
    ///
    /// It is the implementation's to see that the shared blocks hold these very bytes, and keep them.
    fn share(
        &self,
        file: &Path,
        offset: u64,
        bytes: &[u8],
        output: &File,
        at: u64,
    ) -> Vec<Range<u64>>;

    /// The same of `bytes` that no file has, but that may be in other outputs, too.
    fn share_repeated(&self, bytes: &[u8], output: &File, at: u64) -> Vec<Range<u64>>;
}

/// Part of an output that stems from a file, though some of its pages may have been changed.
#[derive(Debug)]
pub struct Source<'a> {
    /// File offsets of the output.
    pub range: Range<u64>,
    /// The file.
    pub path: &'a Path,
    /// Its offset of the first byte.
    pub offset: u64,
}

/// Where the parts of an output stem from, in the order of the file, which ends with what begins at
/// `payload`.
pub(crate) fn sources<'a>(
    image: &'a Image,
    segments: &[Segment],
    parts: &[Part],
    payload: u64,
) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    for segment in segments.iter().filter(|segment| segment.file_len > 0) {
        let stored = segment.file_range();
        for region in &image.regions {
            let range = region.range.start.max(stored.start)..region.range.end.min(stored.end);
            let Some((object, offset)) = region.file.filter(|_| range.start < range.end) else {
                continue;
            };
            let start = segment.offset + (range.start - stored.start);
            sources.push(Source {
                path: &image.objects[object].path,
                offset: offset + (range.start - region.range.start),
                range: start..start + (range.end - range.start),
            });
        }
    }
    for part in parts {
        let start = part.at.unwrap_or(payload);
        let range = start..start + (part.range.end - part.range.start);
        sources.push(Source {
            range,
            path: &image.objects[PROGRAM].path,
            offset: part.range.start,
        });
    }
    sources.sort_unstable_by_key(|source| source.range.start);
    sources
}

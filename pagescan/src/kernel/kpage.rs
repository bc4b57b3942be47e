//! What the kernel says of frames: /proc/kpageflags, /proc/kpagecount and /proc/kpagecgroup, each a word for each frame
//! (Documentation/admin-guide/mm/pagemap.rst). Reading them marks nothing.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use super::memory_ranges;
use super::page_words::{frame_flags, is_head, is_mapped, is_tail, needs_head, with_head};
use crate::snapshot::{Attributes, FrameFlags};

/// Frames with so few between them are read by one call: a call takes as long as about so many words.
const GAP: u64 = 4;
/// A call reads at most so many words.
const MOST: u64 = 8 << 10;
/// So many frames are a thread's piece of work.
const PIECE: usize = 8 << 10;
/// No compound page has more pages: a GiB in pages of 4 KiB.
const LARGEST: u64 = 1 << 18;

/// The files, as far as they are there.
pub struct KernelPages {
    flags: Option<File>,
    counts: Option<File>,
    cgroups: Option<File>,
    /// Where memory is, if that may be known.
    ranges: Option<Vec<Range<u64>>>,
}

/// Something that is not known of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What, in words that stand behind "it is not known".
    pub what: &'static str,
    /// The file that would tell it.
    pub file: &'static str,
}

impl KernelPages {
    /// Opens them. It is no error if they are not there (CONFIG_PROC_PAGE_MONITOR, CONFIG_MEMCG) or not for this process
    /// (CAP_SYS_ADMIN): what is known without them is said of frames then.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            flags: open("/proc/kpageflags")?,
            counts: open("/proc/kpagecount")?,
            cgroups: open("/proc/kpagecgroup")?,
            ranges: memory_ranges::of_machine().ok(),
        })
    }

    /// What is not known, as some of the files are not there or not for this process.
    pub fn unknown(&self) -> Vec<Unknown> {
        let files = [
            (&self.flags, "what kinds of memory frames are", "/proc/kpageflags"),
            (&self.counts, "how often they are mapped", "/proc/kpagecount"),
            (&self.cgroups, "which control groups pay for them", "/proc/kpagecgroup"),
        ];
        let lacking = files.into_iter().filter(|(file, ..)| file.is_none());
        lacking.map(|(_, what, file)| Unknown { what, file }).collect()
    }

    /// What is known of frames, given their numbers in ascending order. The flag UNKNOWN is set where flags are not.
    pub fn attributes(&self, numbers: &[u64]) -> Vec<Attributes> {
        let mut all = vec![Attributes::default(); numbers.len()];
        let pieces = all.par_chunks_mut(PIECE).zip(numbers.par_chunks(PIECE));
        pieces.for_each(|(attributes, numbers)| self.describe(numbers, attributes));
        all
    }

    fn describe(&self, numbers: &[u64], attributes: &mut [Attributes]) {
        // Those that may be mapped.
        let mut mapped = Vec::new();
        let read = |first, len, words: &mut Vec<u64>| self.whole_words(first, len, words);
        look_up(numbers, read, |at, word| {
            let known = &mut attributes[at];
            known.flags = word.map_or(FrameFlags::UNKNOWN, |word| self.flags(numbers[at], word));
            if word.is_none_or(is_mapped) {
                mapped.push(at);
            }
        });
        let of_mapped: Vec<_> = mapped.iter().map(|&at| numbers[at]).collect();
        let counts = |first, len, words: &mut Vec<u64>| read_words(&self.counts, first, len, words);
        look_up(&of_mapped, counts, |at, word| {
            let count = word.unwrap_or(0).try_into();
            attributes[mapped[at]].map_count = count.unwrap_or(u32::MAX);
        });
        let cgroups =
            |first, len, words: &mut Vec<u64>| read_words(&self.cgroups, first, len, words);
        look_up(numbers, cgroups, |at, word| attributes[at].cgroup = word.unwrap_or(0));
    }

    /// What a word means. That of a frame without struct page may be 0 as well (fs/proc/page.c).
    fn flags(&self, number: u64, word: u64) -> FrameFlags {
        let flags = frame_flags(word);
        let is_memory = |ranges: &Vec<_>| memory_ranges::contain(ranges, number);
        if flags == FrameFlags::KERNEL && !self.ranges.as_ref().is_none_or(is_memory) {
            FrameFlags::DEVICE
        } else {
            flags
        }
    }

    /// The words of /proc/kpageflags of frames that follow one another; fewer where they end.
    pub fn words(&self, first: u64, len: u64) -> Vec<u64> {
        let mut words = Vec::new();
        self.whole_words(first, len, &mut words);
        words
    }

    /// The same, where tails of compound pages say what only the first page does in older kernels.
    fn whole_words(&self, first: u64, len: u64, words: &mut Vec<u64>) {
        read_words(&self.flags, first, len, words);
        let mut head = None;
        for (at, word) in words.iter_mut().enumerate() {
            if !is_tail(*word) {
                head = is_head(*word).then_some(*word);
            } else if needs_head(*word) {
                if head.is_none() && at == 0 {
                    head = self.head_before(first);
                }
                *word = head.map_or(*word, |head| with_head(*word, head));
            }
        }
    }

    /// The word of the first page of the compound page that a tail belongs to.
    fn head_before(&self, tail: u64) -> Option<u64> {
        let mut words = Vec::new();
        let mut end = tail;
        // Most are huge pages, and few larger.
        let mut step = 512;
        while end > 0 && tail - end < LARGEST {
            let start = end.saturating_sub(step);
            read_words(&self.flags, start, end - start, &mut words);
            if let Some(word) = words.iter().rev().find(|word| !is_tail(**word)) {
                return is_head(*word).then_some(*word);
            }
            (end, step) = (start, MOST);
        }
        None
    }
}

fn open(path: &str) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Says of each number, by its place in the list, what its word is, if there is one. `read` reads those that follow one another.
fn look_up(
    numbers: &[u64],
    read: impl Fn(u64, u64, &mut Vec<u64>),
    mut say: impl FnMut(usize, Option<u64>),
) {
    let mut words = Vec::new();
    let mut at = 0;
    while at < numbers.len() {
        let near = &numbers[at..at + neighbours(&numbers[at..])];
        let first = near[0];
        read(first, near[near.len() - 1] - first + 1, &mut words);
        for (place, number) in near.iter().enumerate() {
            say(at + place, words.get((number - first) as usize).copied());
        }
        at += near.len();
    }
}

/// How many of the numbers are near enough to one another for one call. One at least.
fn neighbours(numbers: &[u64]) -> usize {
    let Some(&first) = numbers.first() else { return 0 };
    let is_near = |pair: &&[u64]| {
        // Numbers that are not in order get calls of their own.
        let step = pair[1].checked_sub(pair[0]);
        step.is_some_and(|step| step <= GAP) && pair[1] - first < MOST
    };
    1 + numbers.windows(2).take_while(is_near).count()
}

/// The words of frames that follow one another; fewer where the file ends, none if there is no file.
fn read_words(file: &Option<File>, first: u64, len: u64, words: &mut Vec<u64>) {
    words.clear();
    let (Some(file), Some(mut offset)) = (file, first.checked_mul(8)) else { return };
    let mut left = len.saturating_mul(8);
    let mut buffer = [0; 16 << 10];
    while left > 0 {
        let most = left.min(buffer.len() as u64) as usize;
        match file.read_at(&mut buffer[..most], offset) {
            Ok(got) if got >= 8 => {
                words.extend(
                    buffer[..got].as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)),
                );
                let whole = (got / 8 * 8) as u64;
                (offset, left) = (offset + whole, left - whole);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_call() {
        assert_eq!(neighbours(&[]), 0);
        assert_eq!(neighbours(&[7]), 1);
        assert_eq!(neighbours(&[7, 8, 8 + GAP, 9 + 2 * GAP]), 3);
        assert_eq!(neighbours(&[7, 7, 8]), 3);
        assert_eq!(neighbours(&[7, 6]), 1, "not in order");
        assert_eq!(neighbours(&[0, u64::MAX]), 1);
        let many: Vec<_> = (5..5 + 2 * MOST).collect();
        assert_eq!(neighbours(&many), MOST as usize);
    }

    #[test]
    fn without_the_files_nothing_is_known() {
        let pages = KernelPages { flags: None, counts: None, cgroups: None, ranges: None };
        let unknown = Attributes { flags: FrameFlags::UNKNOWN, ..Attributes::default() };
        assert_eq!(pages.attributes(&[1, 2, 300]), [unknown; 3]);
        assert_eq!(pages.unknown().len(), 3);
        assert!(pages.words(0, 10).is_empty());
    }

    #[test]
    fn files_that_end_early() {
        let dir = tempfile::tempdir().unwrap();
        let file = |words: &[u64]| {
            let path = dir.path().join("file");
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            std::fs::write(&path, bytes).unwrap();
            let file = File::open(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            Some(file)
        };
        // A huge page of an older kernel, of which the tails say little.
        let mut words = vec![1 << 15 | 1 << 22 | 1 << 11 | 1 << 5 | 1 << 3];
        words.extend([1 << 16 | 1 << 22 | 1 << 11; 600]);
        let pages =
            KernelPages { flags: file(&words), counts: file(&[3, 4]), cgroups: None, ranges: None };
        let expected = FrameFlags::NAMED | FrameFlags::HUGE;
        let numbers = [0, 1, 600, 601, u64::MAX];
        let flags: Vec<_> = pages.attributes(&numbers).iter().map(|known| known.flags).collect();
        let unknown = FrameFlags::UNKNOWN;
        assert_eq!(flags, [expected, expected, expected, unknown, unknown]);
        let counts: Vec<_> =
            pages.attributes(&numbers).iter().map(|known| known.map_count).collect();
        assert_eq!(counts, [3, 4, 0, 0, 0]);
    }
}

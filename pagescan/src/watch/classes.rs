//! How many pages of a snapshot are shared, could be, or are alone.

use serde::Serialize;

use super::contents::Contents;
use crate::hash::PageHash;
use crate::snapshot::{FrameFlags, Snapshot};

/// So many pages at most KSM lets have one frame (/sys/kernel/mm/ksm/max_page_sharing, as it is by default).
const MAX_PAGE_SHARING: u64 = 256;

/// Numbers of pages; the last two of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Classes {
    /// In a frame with others.
    pub shared: u64,
    /// Alone in their frame, while others hold the same, all of them anonymous.
    pub anonymous: u64,
    /// The same, all of them of files.
    pub named: u64,
    /// The same, some anonymous and some of files.
    pub mixed: u64,
    /// Nothing else holds the same.
    pub private: u64,
    /// Of zeros.
    pub zero: u64,
    /// Not read.
    pub unread: u64,
    /// Frames that would be free if each content had one.
    pub savable: u64,
    /// Frames that would be free if KSM merged all that it can: anonymous ones, as many as may share one frame.
    pub attainable: u64,
}

impl Classes {
    /// Those of a snapshot.
    pub fn of(snapshot: &Snapshot, contents: &Contents) -> Self {
        let mut classes = Self::default();
        let flags = |frame: usize| snapshot.frames.attributes(frame).flags;
        let (mut zeros, mut anonymous_zeros) = (0, Few::default());
        for (frame, &pages) in contents.pages.iter().enumerate() {
            let flags = flags(frame);
            if flags.has(FrameFlags::ZERO) || flags.has(FrameFlags::ZERO_PAGE) {
                classes.zero += u64::from(pages);
                zeros += u64::from(!flags.has(FrameFlags::ZERO_PAGE));
                if is_mergeable(flags) && !flags.has(FrameFlags::ZERO_PAGE) {
                    anonymous_zeros.add(u64::from(pages));
                }
            } else if flags.has(FrameFlags::UNREAD) && contents.is_counted(frame, flags) {
                classes.unread += u64::from(pages);
            }
        }
        classes.savable += zeros.saturating_sub(1);
        classes.attainable += anonymous_zeros.savable();
        for frames in contents.groups() {
            classes.add(frames, contents, flags);
        }
        classes
    }

    /// Adds frames that hold the same.
    fn add(
        &mut self,
        frames: &[(PageHash, u32)],
        contents: &Contents,
        flags: impl Fn(usize) -> FrameFlags,
    ) {
        let mut mergeable = Few::default();
        let (mut anonymous, mut alone) = (0, 0);
        for &(_, frame) in frames {
            let pages = u64::from(contents.pages[frame as usize]);
            let flags = flags(frame as usize);
            anonymous += usize::from(flags.has(FrameFlags::ANONYMOUS));
            if is_mergeable(flags) {
                mergeable.add(pages);
            }
            if pages >= 2 { self.shared += pages } else { alone += 1 }
        }
        let class = match frames.len() {
            1 => &mut self.private,
            all if all == anonymous => &mut self.anonymous,
            _ if anonymous == 0 => &mut self.named,
            _ => &mut self.mixed,
        };
        *class += alone;
        self.savable += frames.len() as u64 - 1;
        self.attainable += mergeable.savable();
    }
}

/// Whether KSM could merge a frame: those of hugetlbfs it cannot.
fn is_mergeable(flags: FrameFlags) -> bool {
    flags.has(FrameFlags::ANONYMOUS) && !flags.has(FrameFlags::HUGETLB)
}

/// Frames of one content that KSM could merge.
#[derive(Default)]
struct Few {
    frames: u64,
    pages: u64,
}

impl Few {
    fn add(&mut self, pages: u64) {
        self.frames += 1;
        self.pages += pages;
    }

    fn savable(&self) -> u64 {
        self.frames.saturating_sub(self.pages.div_ceil(MAX_PAGE_SHARING))
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{ANON, NAMED, made};
    use super::*;

    fn of(frames: &[(FrameFlags, u64)], processes: &[(u32, &[(u64, u64)])]) -> Classes {
        let snapshot = made(frames, processes);
        Classes::of(&snapshot, &Contents::of(&snapshot))
    }

    #[test]
    fn each_page_has_its_class() {
        let zero = ANON | FrameFlags::ZERO;
        let frames = [
            (ANON, 1), // shared by two processes
            (ANON, 2), // twice
            (ANON, 2),
            (NAMED, 3), // in two files
            (NAMED, 3),
            (NAMED, 4), // in a file and a copy
            (ANON, 4),
            (ANON, 5), // alone
            (zero, 0),
            (zero, 0),
            (ANON | FrameFlags::UNREAD, 0),
        ];
        let pages: Vec<_> = (0..11).map(|n| (n, n)).collect();
        let classes = of(&frames, &[(1, &pages), (2, &[(0, 0)])]);
        let expected = Classes {
            shared: 2,
            anonymous: 2,
            named: 2,
            mixed: 2,
            private: 1,
            zero: 2,
            unread: 1,
            savable: 4,
            attainable: 2,
        };
        assert_eq!(classes, expected);
    }

    #[test]
    fn pages_of_hugetlbfs_and_of_the_kernel_count_but_are_not_merged() {
        let huge = ANON | FrameFlags::HUGETLB;
        let frames = [(huge, 1), (huge, 1), (huge | FrameFlags::ZERO, 0), (FrameFlags::KERNEL, 2)];
        let classes = of(&frames, &[(1, &[(0, 0), (1, 1), (2, 2), (3, 3)])]);
        // The last is the vdso's, say: the kernel's, and in a process all the same.
        assert_eq!((classes.anonymous, classes.zero, classes.private), (2, 1, 1));
        assert_eq!((classes.savable, classes.attainable), (1, 0));
    }

    #[test]
    fn ksm_keeps_a_frame_for_each_256_pages() {
        let frames = vec![(ANON, 1); 2048];
        let pages: Vec<_> = (0..2048).map(|n| (n, n)).collect();
        let classes = of(&frames, &[(1, &pages)]);
        assert_eq!((classes.anonymous, classes.savable, classes.attainable), (2048, 2047, 2040));
    }
}

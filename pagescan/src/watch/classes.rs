//! How many pages of a snapshot are shared, could be, or are alone: as `pagescan share` has it, in one number each.

use serde::Serialize;

use crate::share::Figures;

/// Numbers of pages; the last four of frames.
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
    /// Frames that would be free if each content that is not zeros had one.
    pub savable: u64,
    /// Frames that would be free if KSM merged all of that which it can: anonymous ones, as many as may share one frame.
    pub attainable: u64,
    /// Frames of zeros besides, but for the kernel's own page.
    pub zero_savable: u64,
    /// Those of them that KSM could put into the kernel's page.
    pub zero_attainable: u64,
}

impl From<&Figures> for Classes {
    fn from(figures: &Figures) -> Self {
        let (classes, savable) = (&figures.classes, &figures.savable);
        Self {
            shared: classes.shared.all().pages,
            anonymous: classes.anonymous.all().pages,
            named: classes.named.all().pages,
            mixed: classes.mixed.all().pages,
            private: classes.private.pages,
            zero: classes.zero.pages,
            unread: classes.unread.pages,
            savable: savable.at_most,
            attainable: savable.attainable,
            zero_savable: savable.zero,
            zero_attainable: savable.zero_attainable,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::made::{ANON, NAMED, made};
    use super::*;
    use crate::share::{Answer, By, Options, Source, figures, share};
    use crate::snapshot::{FrameFlags, Snapshot};

    fn of(frames: &[(FrameFlags, u64)], processes: &[(u32, &[(u64, u64)])], most: u64) -> Classes {
        Classes::from(&figures(&made(frames, processes), most).unwrap())
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
            (NAMED | FrameFlags::ZERO, 0),
            (ANON | FrameFlags::UNREAD, 0),
        ];
        let pages: Vec<_> = (0..12).map(|n| (n, n)).collect();
        let classes = of(&frames, &[(1, &pages), (2, &[(0, 0)])], 256);
        let expected = Classes {
            shared: 2,
            anonymous: 2,
            named: 2,
            mixed: 2,
            private: 1,
            zero: 3,
            unread: 1,
            savable: 3,
            attainable: 1,
            zero_savable: 3,
            zero_attainable: 2,
        };
        assert_eq!(classes, expected);
    }

    #[test]
    fn pages_of_hugetlbfs_and_of_the_kernel_count_but_are_not_merged() {
        let huge = ANON | FrameFlags::HUGETLB;
        let frames = [(huge, 1), (huge, 1), (huge | FrameFlags::ZERO, 0), (FrameFlags::KERNEL, 2)];
        let classes = of(&frames, &[(1, &[(0, 0), (1, 1), (2, 2), (3, 3)])], 256);
        // The last is the vdso's, say: the kernel's, and in a process all the same.
        assert_eq!((classes.anonymous, classes.zero, classes.private), (2, 1, 1));
        assert_eq!((classes.savable, classes.attainable), (1, 0));
    }

    #[test]
    fn ksm_keeps_a_frame_for_as_many_pages_as_it_may() {
        let frames = vec![(ANON, 1); 2048];
        let pages: Vec<_> = (0..2048).map(|n| (n, n)).collect();
        let attainable = |most| {
            let classes = of(&frames, &[(1, &pages)], most);
            assert_eq!((classes.anonymous, classes.savable), (2048, 2047));
            classes.attainable
        };
        assert_eq!((attainable(256), attainable(64)), (2040, 2016));
    }

    /// What `pagescan share` says, in the same words.
    fn of_answer(answer: &Answer) -> Classes {
        let all = &answer.classes;
        Classes {
            shared: all.shared.internal.pages + all.shared.external.pages,
            anonymous: all.anonymous.internal.pages + all.anonymous.external.pages,
            named: all.named.internal.pages + all.named.external.pages,
            mixed: all.mixed.internal.pages + all.mixed.external.pages,
            private: all.private.pages,
            zero: all.zero.pages,
            unread: all.unread.pages,
            savable: answer.savable.at_most,
            attainable: answer.savable.attainable,
            zero_savable: answer.savable.zero,
            zero_attainable: answer.savable.zero_attainable,
        }
    }

    fn some_snapshot() -> impl Strategy<Value = Snapshot> {
        let kind = prop::sample::select(vec![
            ANON,
            NAMED,
            ANON | FrameFlags::HUGETLB,
            ANON | FrameFlags::ZERO,
            ANON | FrameFlags::KSM,
            ANON | FrameFlags::UNREAD,
            FrameFlags::SHMEM,
            FrameFlags::ZERO_PAGE | FrameFlags::ZERO,
            FrameFlags::KERNEL,
        ]);
        let frames = prop::collection::vec((kind, 0u64..6), 1..40);
        let pages = prop::collection::vec((0u32..4, any::<prop::sample::Index>()), 0..60);
        (frames, pages).prop_map(|(frames, pages)| {
            let mut processes: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
            for (page, (pid, frame)) in pages.iter().enumerate() {
                let frame = frame.index(frames.len()) as u64;
                processes.entry(*pid).or_default().push((page as u64, frame));
            }
            let processes: Vec<_> =
                processes.iter().map(|(pid, pages)| (*pid, &pages[..])).collect();
            made(&frames, &processes)
        })
    }

    /// Contents of two pages, counted one by one.
    fn naive_sharings(snapshot: &Snapshot) -> Vec<crate::hash::PageHash> {
        let mut uses = vec![0; snapshot.frames.len()];
        for run in snapshot.tasks.iter().flat_map(|task| &task.vmas).flat_map(|vma| &vma.runs) {
            uses[run.frame as usize] += 1;
        }
        let mut contents = BTreeMap::new();
        for (frame, uses) in uses.into_iter().enumerate() {
            if snapshot.frames.attributes(frame).flags.is_hashed() {
                *contents.entry(snapshot.frames.hashes[frame]).or_insert(0) += 1.max(uses);
            }
        }
        contents.into_iter().filter(|(_, pages)| *pages > 1).map(|(hash, _)| hash).collect()
    }

    proptest! {
        #[test]
        fn as_share_has_it(snapshot in some_snapshot(), most in 2u64..5) {
            let figures = figures(&snapshot, most).unwrap();
            let watched = Classes::from(&figures);
            for by in [By::Process, By::File, By::Cgroup] {
                let options = Options { by, max_page_sharing: most, ..Options::default() };
                let answer = share(&[Source::Memory(&snapshot)], &options).unwrap();
                prop_assert_eq!(watched, of_answer(&answer));
            }
            prop_assert_eq!(figures.sharings, naive_sharings(&snapshot));
        }
    }
}

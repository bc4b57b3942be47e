//! Which frames cache files, from what the kernel says of each.

use crate::kernel::{StructPage, is_no_file};

/// No file has more pages (MAX_LFS_FILESIZE).
const MOST_PAGES: u64 = 1 << 52;

/// Pages of a file that follow one another, in frames that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CachedRun {
    /// The file, by where the kernel has what it caches of it (struct address_space).
    pub mapping: u64,
    /// The first page's number in it.
    pub page: u64,
    /// The first frame.
    pub frame: u64,
    /// How many.
    pub len: u64,
}

/// Finds them in frames that are given one after the other, ascending.
#[derive(Debug, Default)]
pub(super) struct Finder {
    /// Of the compound page that frames may be the rest of: its file, the number of its first page in it, its first frame.
    head: Option<(u64, u64, u64)>,
    runs: Vec<CachedRun>,
}

impl Finder {
    /// What /proc/kpageflags and struct page say of the next frame.
    pub fn frame(&mut self, frame: u64, word: u64, page: &StructPage) {
        if page.is_tail() {
            if let Some((mapping, first, head)) = self.head
                && frame > head
            {
                self.push(frame, mapping, first.wrapping_add(frame - head));
            }
            return;
        }
        let is_file =
            !is_no_file(word) && is_address_space(page.mapping) && page.index < MOST_PAGES;
        self.head = is_file.then_some((page.mapping, page.index, frame));
        if is_file {
            self.push(frame, page.mapping, page.index);
        }
    }

    /// Those that were found since this was last asked.
    pub fn take(&mut self) -> Vec<CachedRun> {
        std::mem::take(&mut self.runs)
    }

    fn push(&mut self, frame: u64, mapping: u64, page: u64) {
        if let Some(last) = self.runs.last_mut()
            && last.mapping == mapping
            && frame == last.frame + last.len
            && page == last.page.wrapping_add(last.len)
        {
            last.len += 1;
            return;
        }
        self.runs.push(CachedRun { mapping, page, frame, len: 1 });
    }
}

/// Whether the word leads to a struct address_space: the lowest bits say that it is of something else (include/linux/page-flags.h),
/// and the kernel is in the upper half of all addresses.
fn is_address_space(mapping: u64) -> bool {
    mapping & 3 == 0 && mapping >> 63 == 1
}

/// Pages that are in both, each ascending by frame: the same page of the same file in the same frame.
pub(super) fn in_both(before: &[CachedRun], after: &[CachedRun]) -> Vec<CachedRun> {
    let mut both = Vec::new();
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    while let (Some(&&a), Some(&&b)) = (before.peek(), after.peek()) {
        let start = a.frame.max(b.frame);
        let end = (a.frame + a.len).min(b.frame + b.len);
        let page = a.page.wrapping_add(start.wrapping_sub(a.frame));
        let is_same = page == b.page.wrapping_add(start.wrapping_sub(b.frame));
        if start < end && a.mapping == b.mapping && is_same {
            both.push(CachedRun { mapping: a.mapping, page, frame: start, len: end - start });
        }
        if a.frame + a.len <= b.frame + b.len {
            before.next();
        } else {
            after.next();
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: u64 = 0xffff_8880_0000_1000;
    const SLAB: u64 = 1 << 7;

    fn page(mapping: u64, index: u64) -> StructPage {
        StructPage { mapping, index, ..StructPage::default() }
    }

    fn run(mapping: u64, page: u64, frame: u64, len: u64) -> CachedRun {
        CachedRun { mapping, page, frame, len }
    }

    #[test]
    fn pages_of_files_are_found() {
        let tail = StructPage {
            compound_head: 0xffff_ea00_0000_0001,
            mapping: 0xdead_0000_0000_0400,
            ..page(0, 0)
        };
        let mut finder = Finder::default();
        for (frame, word, page) in [
            (10, 0, page(FILE, 5)),
            (11, 0, page(FILE, 6)),
            // The next page, elsewhere.
            (13, 0, page(FILE, 7)),
            // A large one, and then tails of what is none.
            (16, 0, page(FILE, 8)),
            (17, 0, tail),
            (18, 0, tail),
            (20, SLAB, page(FILE, 9)),
            (21, 0, tail),
            // Anonymous, and of something that no address leads to.
            (22, 0, page(FILE | 1, 9)),
            (23, 0, page(0, 0)),
            (24, 0, page(0x1000, 0)),
            (25, 0, page(FILE, u64::MAX)),
        ] {
            finder.frame(frame, word, &page);
        }
        let found = finder.take();
        assert_eq!(found, [run(FILE, 5, 10, 2), run(FILE, 7, 13, 1), run(FILE, 8, 16, 3)]);
        assert!(finder.take().is_empty());
    }

    #[test]
    fn what_changed_meanwhile_is_left_out() {
        let before = [run(FILE, 0, 10, 5), run(FILE, 9, 20, 1), run(FILE, 30, 30, 4)];
        // The middle one has gone, frame 12 has become another file's, one has another number.
        let after = [
            run(FILE, 0, 10, 2),
            run(FILE + 64, 7, 12, 1),
            run(FILE, 3, 13, 2),
            run(FILE, 31, 30, 4),
        ];
        assert_eq!(in_both(&before, &after), [run(FILE, 0, 10, 2), run(FILE, 3, 13, 2)]);
        assert_eq!(in_both(&before, &before), before);
        assert!(in_both(&before, &[]).is_empty());
    }
}

//! What the kernel says of a frame in a word of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h,
//! Documentation/admin-guide/mm/pagemap.rst), in this crate's terms.

use crate::snapshot::FrameFlags;

const REFERENCED: u64 = 1 << 2;
const UPTODATE: u64 = 1 << 3;
const DIRTY: u64 = 1 << 4;
const LRU: u64 = 1 << 5;
const ACTIVE: u64 = 1 << 6;
const SLAB: u64 = 1 << 7;
const WRITEBACK: u64 = 1 << 8;
const RECLAIM: u64 = 1 << 9;
const BUDDY: u64 = 1 << 10;
const MMAP: u64 = 1 << 11;
const ANON: u64 = 1 << 12;
const SWAPCACHE: u64 = 1 << 13;
const SWAPBACKED: u64 = 1 << 14;
const COMPOUND_HEAD: u64 = 1 << 15;
const COMPOUND_TAIL: u64 = 1 << 16;
const HUGE: u64 = 1 << 17;
const UNEVICTABLE: u64 = 1 << 18;
const NOPAGE: u64 = 1 << 20;
const KSM: u64 = 1 << 21;
const THP: u64 = 1 << 22;
const OFFLINE: u64 = 1 << 23;
const ZERO_PAGE: u64 = 1 << 24;
const PGTABLE: u64 = 1 << 26;

/// What is said of all pages that are compounded once, in newer kernels in the words of all of them, in older ones in the first's.
const OF_ALL: u64 = REFERENCED
    | UPTODATE
    | DIRTY
    | LRU
    | ACTIVE
    | WRITEBACK
    | RECLAIM
    | SWAPCACHE
    | SWAPBACKED
    | UNEVICTABLE;

/// Whether it is a page of a compound one, but not its first.
pub(super) fn is_tail(word: u64) -> bool {
    word & COMPOUND_TAIL != 0
}

/// Whether page tables have it.
pub(super) fn is_mapped(word: u64) -> bool {
    word & MMAP != 0
}

/// Whether it is the first page of a compound one.
pub(super) fn is_head(word: u64) -> bool {
    word & COMPOUND_HEAD != 0
}

/// Whether what the word lacks may be in that of the first page.
pub(super) fn needs_head(word: u64) -> bool {
    is_tail(word) && word & (OF_ALL | SLAB | PGTABLE | OFFLINE) == 0
}

/// The word of a page, with what only that of the first page says.
pub(super) fn with_head(word: u64, head: u64) -> u64 {
    word | head & (OF_ALL | SLAB | ANON | KSM | HUGE | THP)
}

/// Whether a frame cannot be a file's, whatever its struct page looks like.
pub fn is_no_file(word: u64) -> bool {
    word & (SLAB | BUDDY | ANON | NOPAGE | KSM | OFFLINE | ZERO_PAGE | PGTABLE) != 0
}

/// What a word means.
pub(super) fn frame_flags(word: u64) -> FrameFlags {
    if word & NOPAGE != 0 {
        return FrameFlags::DEVICE;
    }
    let mut flags = kind(word);
    for (bit, flag) in [
        (KSM, FrameFlags::KSM),
        (REFERENCED, FrameFlags::REFERENCED),
        (DIRTY, FrameFlags::DIRTY),
        (WRITEBACK, FrameFlags::WRITEBACK),
        (ACTIVE, FrameFlags::ACTIVE),
        (UNEVICTABLE, FrameFlags::UNEVICTABLE),
        (SWAPCACHE, FrameFlags::SWAP_CACHE),
        (THP, FrameFlags::HUGE),
        (HUGE, FrameFlags::HUGETLB),
        // Of balloons and the like: whoever took it may have taken the memory.
        (OFFLINE, FrameFlags::UNREAD),
    ] {
        if word & bit != 0 {
            flags |= flag;
        }
    }
    flags
}

/// Whose it is.
fn kind(word: u64) -> FrameFlags {
    let has = |bits: u64| word & bits != 0;
    if has(ZERO_PAGE) {
        FrameFlags::ZERO_PAGE
    } else if has(BUDDY) {
        FrameFlags::FREE
    } else if has(SLAB | PGTABLE | OFFLINE) {
        FrameFlags::KERNEL
    } else if has(ANON | SWAPCACHE) {
        // What comes from swap belongs to nothing as yet.
        FrameFlags::ANONYMOUS
    } else if has(LRU | UPTODATE) {
        // New pages of files are not yet on any list, but read. What drivers let processes map is neither.
        let shmem = has(SWAPBACKED) && !has(HUGE);
        FrameFlags::NAMED | if shmem { FrameFlags::SHMEM } else { FrameFlags::default() }
    } else {
        FrameFlags::KERNEL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let file = FrameFlags::NAMED;
        let anonymous = FrameFlags::ANONYMOUS;
        for (word, flags) in [
            (NOPAGE, FrameFlags::DEVICE),
            (BUDDY, FrameFlags::FREE),
            (0, FrameFlags::KERNEL),
            (SLAB | COMPOUND_HEAD, FrameFlags::KERNEL),
            (PGTABLE | MMAP, FrameFlags::KERNEL),
            (OFFLINE, FrameFlags::KERNEL | FrameFlags::UNREAD),
            // Mapped, but on no list: a driver's.
            (MMAP, FrameFlags::KERNEL),
            (LRU | UPTODATE | REFERENCED, file | FrameFlags::REFERENCED),
            (UPTODATE | DIRTY, file | FrameFlags::DIRTY),
            (LRU | UPTODATE | SWAPBACKED, file | FrameFlags::SHMEM),
            (ANON | LRU | UPTODATE | SWAPBACKED | ACTIVE, anonymous | FrameFlags::ACTIVE),
            (ANON | LRU | KSM | UPTODATE, anonymous | FrameFlags::KSM),
            (ANON | LRU | SWAPBACKED | SWAPCACHE, anonymous | FrameFlags::SWAP_CACHE),
            (LRU | SWAPBACKED | SWAPCACHE, anonymous | FrameFlags::SWAP_CACHE),
            (ANON | LRU | THP | COMPOUND_TAIL, anonymous | FrameFlags::HUGE),
            (ANON | HUGE | UPTODATE | COMPOUND_HEAD, anonymous | FrameFlags::HUGETLB),
            (HUGE | UPTODATE | SWAPBACKED | COMPOUND_HEAD, file | FrameFlags::HUGETLB),
            (ZERO_PAGE | 1 << 32, FrameFlags::ZERO_PAGE),
            (ZERO_PAGE | THP | COMPOUND_TAIL, FrameFlags::ZERO_PAGE | FrameFlags::HUGE),
        ] {
            assert_eq!(frame_flags(word), flags, "{word:#x}");
        }
    }

    /// Of a huge page of tmpfs in kernels where only the first page tells.
    #[test]
    fn the_first_page_speaks_for_all() {
        let head = COMPOUND_HEAD | THP | LRU | UPTODATE | SWAPBACKED | DIRTY;
        let tail = COMPOUND_TAIL | THP;
        assert!(needs_head(tail) && !needs_head(head) && !needs_head(tail | LRU));
        let whole = with_head(tail, head);
        assert_eq!(frame_flags(whole), frame_flags(head));
        assert!(is_tail(whole) && !is_head(whole));
    }
}

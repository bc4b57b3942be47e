//! What sharing depends on of what is known of a frame, in a byte.

use crate::snapshot::FrameFlags;

/// A frame's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind(u8);

impl Kind {
    const ANONYMOUS: u8 = 1 << 0;
    const NAMED: u8 = 1 << 1;
    const KSM: u8 = 1 << 2;
    const ZERO: u8 = 1 << 3;
    const UNREAD: u8 = 1 << 4;
    const FREE: u8 = 1 << 5;
    const ZERO_PAGE: u8 = 1 << 6;
    const HUGETLB: u8 = 1 << 7;

    /// That of a frame of which this is known.
    pub fn of(flags: FrameFlags) -> Self {
        let bits = [
            (FrameFlags::ANONYMOUS, Self::ANONYMOUS),
            (FrameFlags::KSM, Self::ANONYMOUS | Self::KSM),
            (FrameFlags::NAMED, Self::NAMED),
            (FrameFlags::SHMEM, Self::NAMED),
            (FrameFlags::ZERO, Self::ZERO),
            (FrameFlags::ZERO_PAGE, Self::ZERO | Self::ZERO_PAGE),
            (FrameFlags::UNREAD, Self::UNREAD),
            (FrameFlags::FREE, Self::FREE),
            (FrameFlags::HUGETLB, Self::HUGETLB),
        ];
        Self(bits.iter().filter(|(flag, _)| flags.has(*flag)).fold(0, |kind, (_, bit)| kind | bit))
    }

    /// Belongs to no file.
    pub fn is_anonymous(self) -> bool {
        self.0 & (Self::ANONYMOUS | Self::NAMED) == Self::ANONYMOUS
    }

    /// KSM can merge it: it belongs to no file, and not to hugetlbfs, from which no page of 4 KiB can be taken.
    pub fn is_mergeable(self) -> bool {
        self.is_anonymous() && self.0 & Self::HUGETLB == 0
    }

    /// Holds a part of a file, of tmpfs too.
    pub fn is_named(self) -> bool {
        self.0 & Self::NAMED != 0
    }

    /// KSM's.
    pub fn is_ksm(self) -> bool {
        self.0 & Self::KSM != 0
    }

    /// Holds zeros only.
    pub fn is_zero(self) -> bool {
        self.0 & Self::ZERO != 0
    }

    /// The kernel's own page of zeros.
    pub fn is_zero_page(self) -> bool {
        self.0 & Self::ZERO_PAGE != 0
    }

    /// Was not read.
    pub fn is_unread(self) -> bool {
        self.0 & Self::UNREAD != 0
    }

    /// Is nobody's.
    pub fn is_free(self) -> bool {
        self.0 & Self::FREE != 0
    }

    /// Holds something that is compared with others.
    pub fn is_compared(self) -> bool {
        self.0 & (Self::ZERO | Self::UNREAD | Self::FREE) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ksm_merges_anonymous_memory_but_that_of_hugetlbfs() {
        let of = |flags| Kind::of(flags);
        assert!(of(FrameFlags::ANONYMOUS).is_mergeable() && of(FrameFlags::KSM).is_mergeable());
        let huge = of(FrameFlags::ANONYMOUS | FrameFlags::HUGETLB);
        assert!(huge.is_anonymous() && !huge.is_mergeable());
        assert!(!of(FrameFlags::NAMED).is_mergeable());
    }
}

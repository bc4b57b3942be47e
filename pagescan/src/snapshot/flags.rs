//! What is said of a frame, and of a page of an address space, each in a bit.

use std::ops::{BitOr, BitOrAssign};

use serde::{Deserialize, Serialize};

/// What is known of a frame. The kernel's words are those of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct FrameFlags(pub u32);

impl FrameFlags {
    /// Belongs to no file (KPF_ANON).
    pub const ANONYMOUS: Self = Self(1 << 0);
    /// Caches a file's contents.
    pub const NAMED: Self = Self(1 << 1);
    /// Of tmpfs, a memfd or shared memory: named, but with swap behind it.
    pub const SHMEM: Self = Self(1 << 2);
    /// Merged by KSM (KPF_KSM).
    pub const KSM: Self = Self(1 << 3);
    /// The kernel's page of zeros, or its huge one (KPF_ZERO_PAGE).
    pub const ZERO_PAGE: Self = Self(1 << 4);
    /// Part of a transparent huge page (KPF_THP).
    pub const HUGE: Self = Self(1 << 5);
    /// Part of a page of hugetlbfs (KPF_HUGE).
    pub const HUGETLB: Self = Self(1 << 6);
    /// Used since it was last looked at (KPF_REFERENCED).
    pub const REFERENCED: Self = Self(1 << 7);
    /// Not yet written to where it comes from (KPF_DIRTY).
    pub const DIRTY: Self = Self(1 << 8);
    /// Being written (KPF_WRITEBACK).
    pub const WRITEBACK: Self = Self(1 << 9);
    /// On the list of pages that are used often (KPF_ACTIVE).
    pub const ACTIVE: Self = Self(1 << 10);
    /// May not be given back (KPF_UNEVICTABLE).
    pub const UNEVICTABLE: Self = Self(1 << 11);
    /// Has room in swap (KPF_SWAPCACHE).
    pub const SWAP_CACHE: Self = Self(1 << 12);
    /// The kernel's own: slabs, page tables, stacks and the like.
    pub const KERNEL: Self = Self(1 << 13);
    /// Free (KPF_BUDDY).
    pub const FREE: Self = Self(1 << 14);
    /// Every byte of it is zero: its hash is not stored.
    pub const ZERO: Self = Self(1 << 15);
    /// What it holds was not read: it has no hash.
    pub const UNREAD: Self = Self(1 << 16);
    /// Of a device rather than of memory (DAX, io mappings).
    pub const DEVICE: Self = Self(1 << 17);
    /// The kernel did not say what it is.
    pub const UNKNOWN: Self = Self(1 << 18);

    /// Whether all of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it has a hash that tells it from others.
    pub fn is_hashed(self) -> bool {
        self.0 & (Self::ZERO.0 | Self::UNREAD.0) == 0
    }
}

impl BitOr for FrameFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for FrameFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a page table says of a page, as far as the kernel tells (/proc/PID/pagemap).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageFlags(pub u8);

impl PageFlags {
    /// Written to since soft-dirty bits were cleared.
    pub const SOFT_DIRTY: Self = Self(1 << 0);
    /// Mapped once only.
    pub const EXCLUSIVE: Self = Self(1 << 1);
    /// The file's own page, or shared memory.
    pub const FILE: Self = Self(1 << 2);
    /// Mapped by an entry for a huge page.
    pub const HUGE: Self = Self(1 << 3);
    /// Of a mapping that is no memory of the process (VM_PFNMAP, VM_IO): in no Rss.
    pub const SPECIAL: Self = Self(1 << 4);

    /// Whether all of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for PageFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for PageFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

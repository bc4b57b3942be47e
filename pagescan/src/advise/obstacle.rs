//! Why KSM does not merge a page.

use serde::Serialize;

use crate::snapshot::{FrameFlags, Mapping, PageFlags};

/// The reasons, that which weighs most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The mapping is shared (MAP_SHARED: files, memfd, shared memory), and KSM takes private ones only.
    Shared,
    /// A page of hugetlbfs.
    Hugetlb,
    /// The mapping is a driver's (VM_IO, VM_PFNMAP, VM_MIXEDMAP, VM_DONTEXPAND).
    Special,
    /// The mapping may be dropped at any time (MAP_DROPPABLE).
    Droppable,
    /// A file's page that was not written to: KSM takes anonymous ones only.
    FilePage,
    /// The kernel's page of zeros, which takes no memory of the process's.
    ZeroPage,
    /// Neither the process nor the mapping has KSM on.
    Off,
    /// What it holds is another each time.
    Changes,
    /// What it holds is not known.
    Unread,
}

impl Obstacle {
    /// In words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Shared => "shared mappings (files, memfd, shared memory)",
            Self::Hugetlb => "pages of hugetlbfs",
            Self::Special => "a driver's mappings",
            Self::Droppable => "mappings that may be dropped",
            Self::FilePage => "files' pages that were not written to",
            Self::ZeroPage => "the kernel's page of zeros already",
            Self::Off => "KSM is off for them",
            Self::Changes => "pages that change too often",
            Self::Unread => "pages that could not be read",
        }
    }

    /// What stands against all of a mapping whatever is switched on, by its VmFlags (vma_ksm_compatible() of mm/ksm.c; the
    /// letters are those of show_smap_vma_flags(), fs/proc/task_mmu.c).
    pub fn of_mapping(mapping: &Mapping) -> Option<Self> {
        let mut worst = mapping.is_shared.then_some(Self::Shared);
        for flag in mapping.flags.split_ascii_whitespace() {
            let obstacle = match flag {
                "sh" | "ms" => Self::Shared,
                "ht" => Self::Hugetlb,
                "io" | "pf" | "mm" | "de" => Self::Special,
                "dp" => Self::Droppable,
                _ => continue,
            };
            worst = Some(worst.map_or(obstacle, |worst| worst.min(obstacle)));
        }
        worst
    }

    /// What stands against a page of a mapping that KSM may look at.
    pub fn of_page(frame: FrameFlags, page: PageFlags) -> Option<Self> {
        if frame.has(FrameFlags::ZERO_PAGE) {
            return Some(Self::ZeroPage);
        }
        if page.has(PageFlags::SPECIAL) || frame.has(FrameFlags::DEVICE) {
            return Some(Self::Special);
        }
        if frame.has(FrameFlags::HUGETLB) {
            return Some(Self::Hugetlb);
        }
        // KSM's own pages are anonymous, whatever else the kernel says of them.
        let is_anonymous = frame.has(FrameFlags::ANONYMOUS) || frame.has(FrameFlags::KSM);
        let is_file = frame.has(FrameFlags::NAMED) || page.has(PageFlags::FILE);
        if is_file && !is_anonymous {
            return Some(Self::FilePage);
        }
        frame.has(FrameFlags::UNREAD).then_some(Self::Unread)
    }
}

/// Whether KSM may look at a mapping now (VM_MERGEABLE).
pub fn is_on(mapping: &Mapping) -> bool {
    has(mapping, "mg")
}

/// Whether a mapping is kept in memory (VM_LOCKED).
pub fn is_locked(mapping: &Mapping) -> bool {
    has(mapping, "lo")
}

fn has(mapping: &Mapping, flag: &str) -> bool {
    mapping.flags.split_ascii_whitespace().any(|word| word == flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_mappings() {
        let of = |flags: &str| Mapping { flags: flags.into(), ..Mapping::default() };
        assert_eq!(Obstacle::of_mapping(&of("rd wr mr mw me ac mg")), None);
        assert_eq!(Obstacle::of_mapping(&of("rd mr pf io de dd")), Some(Obstacle::Special));
        assert_eq!(Obstacle::of_mapping(&of("rd mr me ms")), Some(Obstacle::Shared));
        assert_eq!(Obstacle::of_mapping(&of("rd de ht")), Some(Obstacle::Hugetlb));
        assert_eq!(Obstacle::of_mapping(&of("rd dp")), Some(Obstacle::Droppable));
        let shared = Mapping { is_shared: true, ..Mapping::default() };
        assert_eq!(Obstacle::of_mapping(&shared), Some(Obstacle::Shared));
        assert!(is_on(&of("rd mg")) && !is_on(&of("rd")) && is_locked(&of("lo rd")));
    }

    #[test]
    fn flags_of_pages() {
        let of = |frame, page| Obstacle::of_page(frame, page);
        let none = PageFlags::default();
        assert_eq!(of(FrameFlags::ANONYMOUS, none), None);
        assert_eq!(of(FrameFlags::KSM | FrameFlags::NAMED, none), None);
        assert_eq!(of(FrameFlags::NAMED, PageFlags::FILE), Some(Obstacle::FilePage));
        assert_eq!(of(FrameFlags::UNKNOWN, PageFlags::FILE), Some(Obstacle::FilePage));
        assert_eq!(of(FrameFlags::UNKNOWN, none), None);
        assert_eq!(of(FrameFlags::ZERO_PAGE, none), Some(Obstacle::ZeroPage));
        assert_eq!(of(FrameFlags::ANONYMOUS, PageFlags::SPECIAL), Some(Obstacle::Special));
        assert_eq!(of(FrameFlags::ANONYMOUS | FrameFlags::UNREAD, none), Some(Obstacle::Unread));
    }
}

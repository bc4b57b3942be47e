//! The pages that KSM may merge, and why the others are none.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde::Serialize;

use super::changed::Changed;
use super::obstacle::{Obstacle, is_locked, is_on};
use super::pages;
use crate::snapshot::{FrameFlags, PageFlags, Snapshot};

/// Pages of 4 KiB in a huge one, as a power of two.
const HUGE_SHIFT: u32 = 9;

/// For which memory KSM is taken to be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All that it can merge, as `pagescan ksm on` has it.
    Everything,
    /// What it is on for now.
    AsItIs,
}

/// A page of a process that KSM may merge. Each has an account of its own in the kernel, be its frame shared or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The index of its frame.
    pub frame: u32,
    /// The huge page that it is in.
    pub huge: Option<u32>,
    /// Its mapping is kept in memory: a huge page's zeros stay pages when it is split.
    pub is_locked: bool,
    /// KSM is on for its mapping already, so that it may have looked at it before.
    pub is_known: bool,
}

/// Pages of a region that do not merge for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// The process.
    pub pid: u32,
    /// Addresses.
    pub range: Range<u64>,
    /// What is mapped there.
    pub name: String,
    /// The reason.
    pub obstacle: Obstacle,
    /// How many.
    pub pages: u64,
}

/// What there is of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Pages in memory.
    pub pages: u64,
    /// Those that KSM may merge.
    pub candidates: u64,
    /// Those that it may not, by reason.
    pub obstacles: BTreeMap<Obstacle, u64>,
}

/// All pages, by what KSM can do with them.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Those that it may merge.
    pub pages: Vec<Candidate>,
    /// How many pages it looks at in a pass: those, and the ones that change.
    pub scanned: u64,
    /// Of each frame, by how many pages it is used that stay where they are: not merged, or of processes that were not looked at.
    pub stay: Vec<u32>,
    /// How many huge pages there are.
    pub huge: u32,
    /// Of each process, as the snapshot has them.
    pub shares: Vec<Share>,
    /// Where the pages are that do not merge.
    pub regions: Vec<Region>,
}

impl Candidates {
    /// Those of a snapshot.
    pub fn of(snapshot: &Snapshot, changed: &Changed, reach: Reach) -> Self {
        let frames = &snapshot.frames;
        let mut all = Self { stay: vec![0; frames.len()], ..Self::default() };
        let mut mapped = vec![0u32; frames.len()];
        let mut huge = HashMap::new();
        for (index, task) in snapshot.tasks.iter().enumerate() {
            let mut share = Share::default();
            for vma in &task.vmas {
                let mapping = &vma.mapping;
                let of_mapping = Obstacle::of_mapping(mapping);
                let is_off = reach == Reach::AsItIs && !is_on(mapping);
                let (is_locked, is_known) = (is_locked(mapping), is_on(mapping));
                let mut obstacles = BTreeMap::new();
                for page in pages::of_vma(vma, snapshot.header.page_size.into()) {
                    let flags = frames.attributes(page.frame).flags;
                    mapped[page.frame] += 1;
                    share.pages += 1;
                    let obstacle = of_mapping
                        .or_else(|| Obstacle::of_page(flags, page.flags))
                        .or_else(|| is_off.then_some(Obstacle::Off));
                    all.scanned += u64::from(obstacle.is_none());
                    let changes = || changed.has(index, page.address);
                    let obstacle = obstacle.or_else(|| changes().then_some(Obstacle::Changes));
                    if let Some(obstacle) = obstacle {
                        all.stay[page.frame] += 1;
                        *obstacles.entry(obstacle).or_insert(0) += 1;
                        continue;
                    }
                    let is_huge = flags.has(FrameFlags::HUGE) || page.flags.has(PageFlags::HUGE);
                    let block = is_huge.then(|| {
                        let block = match frames.numbers.get(page.frame) {
                            Some(number) => (u32::MAX, number >> HUGE_SHIFT),
                            None => {
                                let number =
                                    page.address / u64::from(snapshot.header.page_size.max(1));
                                (index as u32, number >> HUGE_SHIFT)
                            }
                        };
                        let next = huge.len() as u32;
                        *huge.entry(block).or_insert(next)
                    });
                    share.candidates += 1;
                    all.pages.push(Candidate {
                        frame: page.frame as u32,
                        huge: block,
                        is_locked,
                        is_known,
                    });
                }
                for (obstacle, pages) in obstacles {
                    *share.obstacles.entry(obstacle).or_insert(0) += pages;
                    let name = name(snapshot, mapping);
                    let (pid, range) = (task.process.pid, mapping.range.clone());
                    all.regions.push(Region { pid, range, name, obstacle, pages });
                }
            }
            all.shares.push(share);
        }
        // Uses that no process of the snapshot has are others'.
        for (frame, mapped) in mapped.iter().enumerate() {
            all.stay[frame] += frames.attributes(frame).map_count.saturating_sub(*mapped);
        }
        all.huge = huge.len() as u32;
        all
    }
}

fn name(snapshot: &Snapshot, mapping: &crate::snapshot::Mapping) -> String {
    let file = mapping.file.and_then(|file| snapshot.files.get(file as usize));
    match file {
        Some(file) => String::from_utf8_lossy(&file.file.path).into_owned(),
        None if mapping.name.is_empty() => "anonymous memory".into(),
        None => mapping.name.clone(),
    }
}

//! Pages that hold something else than a moment ago. KSM looks at each page twice before it merges it, a whole pass apart, and
//! leaves it alone if it has changed (its checksum, mm/ksm.c: cmp_and_merge_page()).

use std::collections::{HashMap, HashSet};

use super::pages;
use crate::hash::PageHash;
use crate::snapshot::{FrameFlags, Frames, Snapshot};

/// The pages that have changed, each by its process, an index into the later snapshot's, and its address.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    pages: HashSet<(u32, u64)>,
    /// Seconds between the two looks; 0 if there was one only.
    pub seconds: f64,
}

impl Changed {
    /// Between two snapshots of the same processes, hashed alike. Pages that are in one of them only are not known to change.
    pub fn between(before: &Snapshot, now: &Snapshot) -> Self {
        let seconds = now.header.taken.saturating_sub(before.header.taken) as f64 / 1e9;
        let mut changed = Self { pages: HashSet::new(), seconds };
        let known: HashMap<_, _> = before
            .tasks
            .iter()
            .map(|task| ((task.process.pid, task.process.start), task))
            .collect();
        for (index, task) in now.tasks.iter().enumerate() {
            let Some(earlier) = known.get(&(task.process.pid, task.process.start)) else {
                continue;
            };
            let mut earlier = pages::of_task(earlier, before.header.page_size.into()).peekable();
            for page in pages::of_task(task, now.header.page_size.into()) {
                while earlier.next_if(|earlier| earlier.address < page.address).is_some() {}
                let Some(same) = earlier.next_if(|earlier| earlier.address == page.address) else {
                    continue;
                };
                let held = content(&before.frames, same.frame);
                let holds = content(&now.frames, page.frame);
                if held.is_some() && holds.is_some() && held != holds {
                    changed.pages.insert((index as u32, page.address));
                }
            }
        }
        changed
    }

    /// Whether a page has changed.
    pub fn has(&self, task: usize, address: u64) -> bool {
        self.pages.contains(&(task as u32, address))
    }
}

/// What a frame holds, as far as it was read; zeros as no hash is.
pub(super) fn content(frames: &Frames, index: usize) -> Option<PageHash> {
    let flags = frames.attributes(index).flags;
    if flags.has(FrameFlags::UNREAD) {
        None
    } else if flags.has(FrameFlags::ZERO) || flags.has(FrameFlags::ZERO_PAGE) {
        Some(PageHash::default())
    } else {
        Some(frames.hashes[index])
    }
}

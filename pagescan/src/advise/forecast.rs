//! How many frames are left when KSM has merged what it can.
//!
//! Of n equal pages, ceil(n / max_page_sharing) frames are left: a frame stands for no more pages (stable_tree_search()). Pages
//! that share one frame since a fork are not merged with one another (unstable_tree_search_insert()), but each counts as one
//! when there is an equal page elsewhere. A huge page of which a part is merged is split, and its pages of zeros are freed
//! (try_to_map_unused_to_zeropage() of mm/migrate.c, Linux 6.12), which no counter of KSM's shows.

use serde::Serialize;

use super::candidates::{Candidate, Candidates};
use super::changed::content;
use super::smart_scan::TWO_TURNS;
use crate::hash::PageHash;
use crate::snapshot::{FrameFlags, Snapshot};

/// Looked at twice, a page is merged.
pub const PASSES: u64 = 2;

/// How KSM merges (/sys/kernel/mm/ksm).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// A frame stands for at most as many pages.
    pub max_page_sharing: u64,
    /// Pages of zeros go to the kernel's.
    pub use_zero_pages: bool,
    /// Only what merges for certain counts, though smart_scan leaves out pages that KSM knows (see [`super::smart_scan`]).
    pub leaves_out: bool,
}

/// What is left. Numbers of frames, of 4 KiB each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// Frames that the processes have now, each once; neither devices' nor the page of zeros.
    pub frames_now: u64,
    /// Those that they have in the end.
    pub frames_after: u64,
    /// Those that they would have if a frame could stand for any number of pages.
    pub frames_least: u64,
    /// Pages that KSM has merged already, less the frames that they are in.
    pub merged_already: u64,
    /// Frames of zeros that become free.
    pub zero_frames_freed: u64,
    /// Huge pages that are split.
    pub huge_pages_split: u64,
    /// Pages that will be merged with others.
    pub merging_pages: u64,
    /// Frames that are needed in addition to those in the end, if every page that is merged is written to.
    pub frames_if_written: u64,
    /// Passes after which all of that is so.
    pub passes: u64,
}

impl Forecast {
    /// Frames that are saved; fewer than 0 if KSM takes more than it gives, as with forked pages of many processes.
    pub fn saved(&self) -> i64 {
        self.frames_now as i64 - self.frames_after as i64
    }

    /// Of the candidates of a snapshot.
    pub fn of(snapshot: &Snapshot, candidates: &Candidates, merging: Merging) -> Self {
        let frames = &snapshot.frames;
        let mut is_used = vec![false; frames.len()];
        for run in snapshot.tasks.iter().flat_map(|task| &task.vmas).flat_map(|vma| &vma.runs) {
            is_used[run.frames()].fill(true);
        }
        let is_memory = |index: usize| {
            let flags = frames.attributes(index).flags;
            !flags.has(FrameFlags::ZERO_PAGE) && !flags.has(FrameFlags::DEVICE)
        };
        let now = is_used.iter().enumerate().filter(|(index, used)| **used && is_memory(*index));
        let mut forecast = Self { frames_now: now.count() as u64, ..Self::default() };
        forecast.merged_already = merged_already(snapshot);

        // Equal ones side by side, those of a frame as well.
        let mut keyed: Vec<(PageHash, Candidate)> = candidates
            .pages
            .iter()
            .filter_map(|page| Some((content(frames, page.frame as usize)?, *page)))
            .collect();
        keyed.sort_unstable_by_key(|(content, page)| (*content, page.frame));
        let classes = || keyed.chunk_by(|a, b| a.0 == b.0);
        let is_merged =
            |page: &Candidate| frames.attributes(page.frame as usize).flags.has(FrameFlags::KSM);
        // After how many passes equal pages have merged, if they do.
        let merges = |class: &[(PageHash, Candidate)]| {
            let (content, first) = class.first()?;
            let (_, last) = class.last()?;
            let known = class.iter().any(|(_, page)| page.is_known && !is_merged(page));
            let is_slow = merging.leaves_out && known;
            let passes = if is_slow { TWO_TURNS } else { PASSES };
            let by_itself = is_zero(content) && merging.use_zero_pages;
            let is_joined = class.len() > 1 && class.iter().any(|(_, page)| is_merged(page));
            if by_itself || is_joined {
                return Some(passes);
            }
            if first.frame == last.frame {
                return None;
            }
            // Old ones join what new ones have become, and need not meet one another otherwise.
            let new =
                || class.iter().filter(|(_, page)| !page.is_known).map(|(_, page)| page.frame);
            (!is_slow || new().min() != new().max()).then_some(passes)
        };
        let mut is_split = vec![false; candidates.huge as usize];
        for class in classes() {
            let Some(passes) = merges(class) else { continue };
            forecast.passes = forecast.passes.max(passes);
            for huge in class.iter().filter_map(|(_, page)| page.huge) {
                is_split[huge as usize] = true;
            }
        }
        forecast.huge_pages_split = is_split.iter().filter(|is_split| **is_split).count() as u64;

        let mut least_saved = 0i64;
        let mut saved = 0i64;
        for class in classes() {
            let zero = class.first().is_some_and(|(content, _)| is_zero(content));
            // These need not find an equal one: the split frees them.
            let is_freed = |page: &Candidate| {
                let split = page.huge.is_some_and(|huge| is_split[huge as usize]);
                zero && (merging.use_zero_pages || split && !page.is_locked)
            };
            let merges = merges(class).is_some();
            let freed = class.iter().filter(|(_, page)| is_freed(page)).count() as u64;
            if !merges && freed == 0 {
                continue;
            }
            let (mut now, mut held) = (0u64, 0u64);
            for same in class.chunk_by(|a, b| a.1.frame == b.1.frame) {
                now += 1;
                held += u64::from(
                    same.first().is_some_and(|(_, page)| candidates.stay[page.frame as usize] > 0),
                );
            }
            let pages = class.len() as u64 - freed;
            let after = pages.div_ceil(merging.max_page_sharing.max(1)) + held;
            forecast.merging_pages += class.len() as u64;
            forecast.frames_if_written +=
                class.len() as u64 - (after - held).min(class.len() as u64);
            saved += now as i64 - after as i64;
            least_saved += now as i64 - (held + pages.min(1)) as i64;
            if zero {
                forecast.zero_frames_freed = now.saturating_sub(after);
            }
        }
        let after = |saved: i64| forecast.frames_now.saturating_add_signed(-saved);
        (forecast.frames_after, forecast.frames_least) = (after(saved), after(least_saved));
        forecast
    }
}

fn is_zero(content: &PageHash) -> bool {
    *content == PageHash::default()
}

fn merged_already(snapshot: &Snapshot) -> u64 {
    let frames = &snapshot.frames;
    let mut uses = vec![0u64; frames.len()];
    for run in snapshot.tasks.iter().flat_map(|task| &task.vmas).flat_map(|vma| &vma.runs) {
        uses[run.frames()].iter_mut().for_each(|uses| *uses += 1);
    }
    let merged = uses.iter().enumerate();
    merged
        .filter(|(index, _)| frames.attributes(*index).flags.has(FrameFlags::KSM))
        .map(|(_, uses)| uses.saturating_sub(1))
        .sum()
}

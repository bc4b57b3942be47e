//! The answer, put together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::candidates::{Candidates, Reach, Region};
use super::changed::Changed;
use super::cost::Cost;
use super::duration::{Settling, Work, settling};
use super::forecast::{Forecast, Merging, PASSES};
use super::obstacle::{Obstacle, is_on};
use super::settings::Settings;
use super::smart_scan::{self, Ages};
use crate::snapshot::{FrameFlags, Snapshot, Vma};

/// Bytes of KSM's account of a page that it looks at (struct ksm_rmap_item).
const ACCOUNT: u64 = 64;
/// What is tried for the best.
const CHOICES: [u64; 9] = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];
/// Twice as many pages pay if they save at least this part of the time.
const WORTH: f64 = 0.25;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// For which memory.
    pub reach: Reach,
    /// How KSM is or will be set.
    pub settings: Settings,
    /// What it costs to look at a page.
    pub cost: Cost,
    /// The kernel's tick, in seconds.
    pub tick: f64,
    /// Percent of a CPU that it may take.
    pub max_cpu: f64,
}

/// What KSM would do. Pages and frames are of the snapshot's page size.
#[derive(Clone, Debug, Serialize)]
pub struct Advice {
    /// Bytes of a page.
    pub page_size: u32,
    /// What is left of the memory if all merges that is equal.
    pub forecast: Forecast,
    /// Frames that are saved then.
    pub saved_frames: i64,
    /// What merges for certain, where KSM leaves out pages that it knows already ([`smart_scan`]). Whether the rest will ever merge
    /// cannot be foretold then.
    pub certain: Option<Forecast>,
    /// Frames that are saved by that.
    pub certain_frames: Option<i64>,
    /// Bytes that the kernel needs to keep account of the pages that it looks at.
    pub account_bytes: u64,
    /// Pages that it looks at in a pass.
    pub scanned_pages: u64,
    /// How KSM is taken to be set.
    pub settings: Settings,
    /// What it costs to look at a page.
    pub cost: Cost,
    /// When it has settled: when all of that has merged which is certain to.
    pub settled: Settled,
    /// The same with other numbers of pages to scan, without an advisor.
    pub choices: Vec<Choice>,
    /// The number of pages to scan that pays.
    pub pays: u64,
    /// Seconds between the two looks by which it is known what changes; 0 if there was one only.
    pub looked_seconds: f64,
    /// Each process.
    pub processes: Vec<OfProcess>,
    /// Why pages do not merge, in all.
    pub obstacles: BTreeMap<Obstacle, u64>,
    /// Where most of them are, the largest first.
    pub regions: Vec<Region>,
    /// What is not known, in sentences.
    pub lacks: Vec<String>,
}

/// When it has settled.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Settled {
    /// How many passes over all pages that takes. In some of them KSM may leave most out.
    pub passes: u64,
    /// How long that takes.
    #[serde(flatten)]
    pub settling: Settling,
}

/// A number of pages to scan.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Choice {
    /// The number.
    pub pages_to_scan: u64,
    /// Seconds until it has settled.
    pub seconds: f64,
    /// Percent of a CPU.
    pub cpu_percent: f64,
}

/// What there is of a process.
#[derive(Clone, Debug, Serialize)]
pub struct OfProcess {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Pages in memory.
    pub pages: u64,
    /// Those for which KSM is on already.
    pub pages_on: u64,
    /// Those that it may merge.
    pub candidates: u64,
    /// Those that it may not, by reason.
    pub obstacles: BTreeMap<Obstacle, u64>,
}

/// The answer for the processes of a snapshot. `earlier` is one of the same processes, from which it is seen what changes.
pub fn advice(snapshot: &Snapshot, earlier: Option<&Snapshot>, question: &Question) -> Advice {
    let changed = earlier.map(|earlier| Changed::between(earlier, snapshot)).unwrap_or_default();
    let candidates = Candidates::of(snapshot, &changed, question.reach);
    let settings = &question.settings;
    let merging = Merging {
        max_page_sharing: settings.max_page_sharing,
        use_zero_pages: settings.use_zero_pages,
        leaves_out: false,
    };
    let forecast = Forecast::of(snapshot, &candidates, merging);
    let ages = ages(snapshot, &candidates);
    // Not where it knows nothing yet: what is new all has the same age.
    let leaves_out =
        settings.smart_scan && smart_scan::leaves_out(settings.full_scans) && ages.old > 0;
    let certain =
        leaves_out.then(|| Forecast::of(snapshot, &candidates, Merging { leaves_out, ..merging }));
    let passes = certain.map_or(0, |certain| certain.passes).max(PASSES);
    let looked_at = match leaves_out {
        true => ages.passes(passes),
        false => vec![candidates.scanned; PASSES as usize],
    };
    let work = Work { passes: looked_at, cost: question.cost, tick: question.tick };
    let choices = choices(&work, settings);
    let mut obstacles = BTreeMap::new();
    for (obstacle, pages) in candidates.shares.iter().flat_map(|share| &share.obstacles) {
        *obstacles.entry(*obstacle).or_insert(0) += pages;
    }
    let processes = snapshot.tasks.iter().zip(&candidates.shares).map(|(task, share)| OfProcess {
        pid: task.process.pid,
        name: task.process.name.clone(),
        pages: share.pages,
        pages_on: task.vmas.iter().filter(|vma| is_on(&vma.mapping)).map(pages).sum(),
        candidates: share.candidates,
        obstacles: share.obstacles.clone(),
    });
    let processes = processes.collect();
    let mut regions = candidates.regions;
    regions.sort_by_key(|region| std::cmp::Reverse(region.pages));
    Advice {
        page_size: snapshot.header.page_size,
        saved_frames: forecast.saved(),
        certain_frames: certain.map(|certain| certain.saved()),
        certain,
        account_bytes: candidates.scanned * ACCOUNT,
        scanned_pages: candidates.scanned,
        settled: Settled { passes, settling: settling(&work, settings) },
        pays: pays(&choices, question.max_cpu),
        forecast,
        settings: settings.clone(),
        cost: question.cost,
        choices,
        looked_seconds: changed.seconds,
        processes,
        obstacles,
        regions,
        lacks: [&snapshot.header.lacks[..], &snapshot.totals.lacks[..]].concat(),
    }
}

/// What KSM knows of the pages that it looks at.
fn ages(snapshot: &Snapshot, candidates: &Candidates) -> Ages {
    let mut ages = Ages::default();
    for page in &candidates.pages {
        let flags = snapshot.frames.attributes(page.frame as usize).flags;
        *match page.is_known {
            _ if flags.has(FrameFlags::KSM) => &mut ages.merged,
            true => &mut ages.old,
            false => &mut ages.new,
        } += 1;
    }
    // Those that change are looked at, too, and nobody knows by whom.
    ages.new += candidates.scanned.saturating_sub(candidates.pages.len() as u64);
    ages
}

fn pages(vma: &Vma) -> u64 {
    vma.runs.iter().map(|run| run.len).sum()
}

fn choices(work: &Work, settings: &Settings) -> Vec<Choice> {
    let choice = |pages_to_scan| {
        let settings = Settings { pages_to_scan, advisor: None, ..settings.clone() };
        let Settling { seconds, cpu_percent, .. } = settling(work, &settings);
        Choice { pages_to_scan, seconds, cpu_percent }
    };
    CHOICES.map(choice).into()
}

/// The largest number that does not take too much CPU, and that is worth it over the one before.
fn pays(choices: &[Choice], max_cpu: f64) -> u64 {
    let steps = choices.windows(2).map_while(|step| {
        let [before, next] = step else { return None };
        let is_worth = next.seconds < before.seconds * (1.0 - WORTH);
        (next.cpu_percent <= max_cpu && is_worth).then_some(next.pages_to_scan)
    });
    let first = choices.first().map_or(0, |choice| choice.pages_to_scan);
    steps.last().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_that_pays() {
        let cost = Cost { seconds_per_page: 5e-6, is_own: false, ran_seconds: 0.0 };
        let work = Work { passes: vec![1 << 20; 2], cost, tick: 0.004 };
        let choices = choices(&work, &Settings::default());
        assert_eq!(pays(&choices, 10.0), 500);
        assert_eq!(pays(&choices, 20.0), 1000);
        assert_eq!(pays(&choices, 0.1), 100);
        // From some number on it only sleeps less often.
        assert!(pays(&choices, 100.0) < 50_000);
        assert_eq!(pays(&[], 100.0), 0);
    }
}

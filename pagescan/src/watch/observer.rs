//! Makes samples out of snapshots that follow one another.

use super::changes::Changes;
use super::classes::Classes;
use super::counters::Kernel;
use super::lifetimes::Lifetimes;
use super::sample::Sample;
use crate::Result;
use crate::share::figures;
use crate::snapshot::Snapshot;

/// So many pages at most KSM lets have one frame where the kernel does not say: its usual setting.
const MAX_PAGE_SHARING: u64 = 256;

/// What has to be remembered from one sample to the next: the last snapshot, and the sharings that were seen.
#[derive(Debug)]
pub struct Observer {
    kernel: Kernel,
    last: Option<Snapshot>,
    /// When the first snapshot was begun, in nanoseconds since 1970.
    first: Option<u64>,
    lifetimes: Lifetimes,
}

impl Observer {
    /// One that has not seen anything yet.
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, last: None, first: None, lifetimes: Lifetimes::default() }
    }

    /// Takes in a snapshot. The counters are those of now.
    pub fn see(&mut self, snapshot: Snapshot) -> Result<Sample> {
        let taken = snapshot.header.taken;
        let first = *self.first.get_or_insert(taken);
        let seconds = taken.saturating_sub(first) as f64 / 1e9;
        let ksm = self.kernel.ksm();
        let figures = figures(&snapshot, ksm.max_page_sharing.unwrap_or(MAX_PAGE_SHARING))?;
        let sharings = self.lifetimes.see(seconds, &figures.sharings);
        let processes = snapshot.tasks.iter().map(|task| &task.process);
        let sample = Sample {
            time: taken as f64 / 1e9,
            seconds,
            snapshot_seconds: snapshot.totals.taken.saturating_sub(taken) as f64 / 1e9,
            processes: snapshot.tasks.len() as u64,
            frames: snapshot.frames.len() as u64,
            pages: snapshot.totals.pages,
            classes: Classes::from(&figures),
            changes: self.last.as_ref().map(|last| Changes::between(last, &snapshot)),
            sharings,
            lifetimes: self.lifetimes.survival(),
            swapped: processes.clone().map(|process| process.swapped).sum(),
            ksm,
            process_ksm: processes.filter_map(|process| self.kernel.process(process)).collect(),
            page_cache: self.kernel.page_cache(),
        };
        self.last = Some(snapshot);
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{ANON, made};
    use super::*;

    #[test]
    fn samples_follow_one_another() {
        let nowhere = Kernel { ksm: "/nowhere".into(), proc: "/nowhere".into() };
        let mut observer = Observer::new(nowhere);
        let mut snapshot =
            made(&[(ANON, 1), (ANON, 1), (ANON, 2)], &[(1, &[(0, 0), (1, 1), (2, 2)])]);
        snapshot.totals.taken = snapshot.header.taken + 250_000_000;
        let first = observer.see(snapshot.clone()).unwrap();
        assert_eq!((first.seconds, first.snapshot_seconds, first.changes), (0.0, 0.25, None));
        assert_eq!((first.sharings.begun, first.classes.anonymous), (1, 2));
        // One page changes, and so nothing is shared any more.
        snapshot.header.taken += 4_000_000_000;
        snapshot.frames.hashes[1].0[0] ^= 1;
        let second = observer.see(snapshot).unwrap();
        assert_eq!(second.seconds, 4.0);
        assert_eq!(second.changes.map(|changes| (changes.tracked, changes.changed)), Some((3, 1)));
        assert_eq!((second.sharings.alive, second.sharings.ended), (0, 1));
        assert_eq!((second.lasting(4), second.lasting(8)), (Some(1.0), Some(0.0)));
        assert_eq!(second.merged(), None);
    }
}

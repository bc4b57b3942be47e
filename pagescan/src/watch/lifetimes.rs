//! How long sharings last: contents that are in at least two pages, from the first sample that shows them to the first that does
//! not. Those that are there at the first sample count from then on. What is still shared at the end counts for as long as it was
//! seen, by the life table of actuaries (Cutler and Ederer, 1958): a share of those that are seen so long.

use serde::Serialize;

use crate::hash::PageHash;

/// A second in the unit of times: the moments of samples are not more exact.
const SECOND: u32 = 10;
/// Lifetimes are told apart up to 2^30 seconds.
const CLASSES: usize = 31;

/// Sharings that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Those of the last sample, by hash, with when they were first seen.
    alive: Vec<(PageHash, u32)>,
    /// Those that have ended, by [`class`].
    ended: [u64; CLASSES],
    /// Of the last sample.
    now: u32,
}

/// What has become of sharings since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Turnover {
    /// They are there.
    pub alive: u64,
    /// They were not before.
    pub begun: u64,
    /// They were, and are not any more.
    pub ended: u64,
}

/// How many last so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Survival {
    /// Seconds: a power of two.
    pub seconds: u32,
    /// The share of sharings that last so long or longer, from 0 to 1.
    pub share: f64,
    /// Sharings that were seen so long.
    pub seen: u64,
}

impl Lifetimes {
    /// Takes in a sample: the seconds since the first, never fewer than before, and the contents that are shared, in ascending order
    /// and each once.
    pub fn see(&mut self, seconds: f64, sharings: &[PageHash]) -> Turnover {
        self.now = ((seconds * f64::from(SECOND)).round() as u32).max(self.now);
        let mut turnover = Turnover { alive: sharings.len() as u64, ..Turnover::default() };
        let mut before = std::mem::take(&mut self.alive).into_iter().peekable();
        self.alive.reserve_exact(sharings.len());
        for &hash in sharings {
            while let Some((_, born)) = before.next_if(|(old, _)| *old < hash) {
                self.end(born, &mut turnover);
            }
            match before.next_if(|(old, _)| *old == hash) {
                Some(same) => self.alive.push(same),
                None => {
                    turnover.begun += 1;
                    self.alive.push((hash, self.now));
                }
            }
        }
        for (_, born) in before {
            self.end(born, &mut turnover);
        }
        turnover
    }

    fn end(&mut self, born: u32, turnover: &mut Turnover) {
        self.ended[class(self.now - born)] += 1;
        turnover.ended += 1;
    }

    /// The share of sharings that last 2, 4, 8 seconds and so on, as far as any were seen so long, and up to the first that none
    /// reaches.
    pub fn survival(&self) -> Vec<Survival> {
        let mut cut_off = [0u64; CLASSES];
        for (_, born) in &self.alive {
            cut_off[class(self.now - born)] += 1;
        }
        let both = || self.ended.iter().zip(&cut_off);
        let mut seen: u64 = both().map(|(ended, cut_off)| ended + cut_off).sum();
        let mut share = 1.0;
        let mut survival = Vec::new();
        for (class, (&ended, &cut_off)) in both().enumerate() {
            let at_risk = seen as f64 - cut_off as f64 / 2.0;
            if at_risk <= 0.0 || class + 1 == CLASSES {
                break;
            }
            share *= 1.0 - ended as f64 / at_risk;
            seen -= ended + cut_off;
            if seen == 0 && cut_off > 0 {
                break;
            }
            survival.push(Survival { seconds: 2 << class, share: share.max(0.0), seen });
        }
        survival
    }
}

/// 0 for a lifetime of less than 2 seconds, 1 for less than 4, and so on.
fn class(lifetime: u32) -> usize {
    ((lifetime / SECOND).max(1).ilog2() as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(number: usize) -> PageHash {
        PageHash::of_result(&[number as u8 + 1])
    }

    /// Samples: when, and which of the contents are shared.
    type Samples = [(u32, Vec<bool>)];

    fn seen(samples: &Samples) -> Lifetimes {
        let mut lifetimes = Lifetimes::default();
        for (seconds, shared) in samples {
            let sharings: Vec<_> =
                shared.iter().enumerate().filter(|(_, is)| **is).map(|(n, _)| hash(n)).collect();
            lifetimes.see(f64::from(*seconds), &sharings);
        }
        lifetimes
    }

    /// Of each sharing, how long it was seen, and whether it has ended.
    fn naive(samples: &Samples) -> Vec<(u32, bool)> {
        let mut lives = Vec::new();
        for content in 0..samples.first().map_or(0, |(_, shared)| shared.len()) {
            let mut born = None;
            for (seconds, shared) in samples {
                match (born, shared[content]) {
                    (None, true) => born = Some(*seconds),
                    (Some(since), false) => {
                        lives.push((seconds - since, true));
                        born = None;
                    }
                    _ => {}
                }
            }
            lives.extend(born.map(|since| (samples.last().unwrap().0 - since, false)));
        }
        lives
    }

    fn some_samples() -> impl Strategy<Value = Vec<(u32, Vec<bool>)>> {
        let sample = (1u32..9, proptest::collection::vec(any::<bool>(), 6));
        proptest::collection::vec(sample, 1..40).prop_map(|samples| {
            let mut now = 0;
            samples
                .into_iter()
                .map(|(step, shared)| {
                    now += step;
                    (now, shared)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn those_that_have_all_ended_are_counted(mut samples in some_samples()) {
            let end = samples.last().unwrap().0 + 3;
            samples.push((end, vec![false; 6]));
            let lives = naive(&samples);
            let survival = seen(&samples).survival();
            for Survival { seconds, share, seen } in survival {
                let longer = lives.iter().filter(|(life, _)| *life >= seconds).count();
                prop_assert_eq!(seen, longer as u64);
                prop_assert!((share - longer as f64 / lives.len() as f64).abs() < 1e-9);
            }
        }

        #[test]
        fn those_that_go_on_count_as_long_as_they_were_seen(samples in some_samples()) {
            let lives = naive(&samples);
            let mut share = 1.0;
            let survival = seen(&samples).survival();
            for (row, Survival { seconds, share: is, seen }) in survival.into_iter().enumerate() {
                prop_assert_eq!(seconds, 2 << row);
                let from = if row == 0 { 0 } else { seconds / 2 };
                let reach = |least: u32| lives.iter().filter(move |(life, _)| *life >= least);
                let cut_off = reach(from).filter(|(life, ended)| !ended && *life < seconds).count();
                let ended = reach(from).filter(|(life, ended)| *ended && *life < seconds).count();
                share *= 1.0 - ended as f64 / (reach(from).count() as f64 - cut_off as f64 / 2.0);
                prop_assert_eq!(seen, reach(seconds).count() as u64);
                prop_assert!((is - share).abs() < 1e-9, "{} {}", is, share);
            }
        }

        #[test]
        fn turnovers_add_up(samples in some_samples()) {
            let (mut lifetimes, mut alive) = (Lifetimes::default(), 0);
            for (seconds, shared) in &samples {
                let sharings: Vec<_> = shared.iter().enumerate().filter(|(_, is)| **is).map(|(n, _)| hash(n)).collect();
                let turnover = lifetimes.see(f64::from(*seconds), &sharings);
                alive = alive + turnover.begun - turnover.ended;
                prop_assert_eq!(turnover.alive, alive);
            }
        }
    }

    #[test]
    fn what_never_ends_lasts() {
        let samples: Vec<_> = (0..=20).map(|n| (n, vec![true])).collect();
        let survival = seen(&samples).survival();
        let rows: Vec<_> = survival.iter().map(|row| (row.seconds, row.share, row.seen)).collect();
        assert_eq!(rows, [(2, 1.0, 1), (4, 1.0, 1), (8, 1.0, 1), (16, 1.0, 1)]);
        assert_eq!(Lifetimes::default().survival(), []);
    }

    #[test]
    fn a_sample_that_comes_a_little_early_makes_no_life_shorter() {
        let mut lifetimes = Lifetimes::default();
        lifetimes.see(0.004, &[hash(1)]);
        lifetimes.see(1.0, &[hash(1)]);
        lifetimes.see(1.999, &[]);
        let survival = lifetimes.survival();
        assert_eq!((survival[0].seconds, survival[0].share), (2, 1.0));
        assert_eq!((survival[1].seconds, survival[1].share), (4, 0.0));
        assert_eq!(survival.len(), 2);
    }
}

//! How fast hashes are computed.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::pages::PAGE;
use crate::hash::Hasher;

/// Computing time of each round by each of some algorithms, over any number of batches of pages.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    /// By algorithm, then by round.
    times: Vec<Vec<Duration>>,
    bytes: u64,
}

/// How fast an algorithm was, in 10^9 bytes a second of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    /// In the median round; of an even number of rounds, the faster of the two in the middle.
    pub median: f64,
    /// In the slowest.
    pub least: f64,
    /// In the fastest.
    pub most: f64,
}

impl Stopwatch {
    /// At zero, for as many algorithms and rounds.
    pub fn new(algorithms: usize, rounds: usize) -> Self {
        Self { times: vec![vec![Duration::ZERO; rounds]; algorithms], bytes: 0 }
    }

    /// Hashes a batch of pages by each algorithm, one after the other, as often as there are rounds. Each round begins with
    /// another, so that none always finds what the one before has left in caches.
    pub fn run(&mut self, batch: &[u8], hashers: &[Hasher], mut is_over: impl FnMut() -> bool) {
        let rounds = self.times.first().map_or(0, Vec::len);
        for round in 0..rounds {
            for turn in 0..hashers.len() {
                if is_over() {
                    return;
                }
                let index = (round + turn) % hashers.len();
                let start = computing_time();
                hash_all(batch, &hashers[index]);
                self.times[index][round] += computing_time().saturating_sub(start);
            }
        }
        self.bytes += batch.len() as u64;
    }

    /// That of the algorithm of this place in the list; none if nothing was hashed.
    pub fn speed(&self, algorithm: usize) -> Option<Speed> {
        let mut times = self.times.get(algorithm)?.clone();
        times.sort();
        let speed = |time: &Duration| self.bytes as f64 / 1e9 / time.as_secs_f64().max(1e-9);
        let (first, last) = (times.first()?, times.last()?);
        let median = &times[(times.len() - 1) / 2];
        (self.bytes > 0).then(|| Speed {
            median: speed(median),
            least: speed(last),
            most: speed(first),
        })
    }
}

/// One call for each page, and nothing of it optimised away.
fn hash_all(batch: &[u8], hasher: &Hasher) {
    for page in batch.as_chunks::<PAGE>().0 {
        black_box(hasher.hash(black_box(page)));
    }
}

/// Of this thread: what others do on the machine counts as little as it can.
fn computing_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_runs_in_each_round() {
        let mut watch = Stopwatch::new(2, 3);
        assert_eq!(watch.speed(0), None);
        let mut turns = 0;
        watch.run(&vec![1; 64 * PAGE], &[Hasher::Md5, Hasher::SimplePattern], || {
            turns += 1;
            false
        });
        assert_eq!(turns, 6);
        let (md5, simple) = (watch.speed(0).unwrap(), watch.speed(1).unwrap());
        assert!(md5.least <= md5.median && md5.median <= md5.most, "{md5:?}");
        assert!(simple.median > md5.median, "{simple:?} {md5:?}");
        assert_eq!(watch.speed(2), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let seconds = Duration::from_secs;
        let times = vec![vec![seconds(4), seconds(1), seconds(2)]];
        let watch = Stopwatch { times, bytes: 8_000_000_000 };
        assert_eq!(watch.speed(0), Some(Speed { median: 4.0, least: 2.0, most: 8.0 }));
    }
}

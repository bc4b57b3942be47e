//! How long this process has looked into files while loaders waited for it: that is no time of theirs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Measures work of several threads. Where they work at the same time, that counts once.
#[derive(Debug, Default)]
pub struct Stopwatch {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is over.
    total: Duration,
    /// How many work now, and since when any does.
    working: usize,
    since: Option<Instant>,
}

impl State {
    fn elapsed(&self) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Stopwatch {
    /// Does some work.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        {
            let mut state = self.state();
            state.working += 1;
            state.since.get_or_insert_with(Instant::now);
        }
        let result = work();
        let mut state = self.state();
        state.working -= 1;
        if state.working == 0 {
            state.total = state.elapsed();
            state.since = None;
        }
        result
    }

    /// How much it was so far.
    pub fn elapsed(&self) -> Duration {
        self.state().elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_while_it_is_done_and_once() {
        let (watch, step) = (Stopwatch::default(), Duration::from_millis(10));
        watch.time(|| {
            std::thread::sleep(step);
            assert!(watch.elapsed() >= step);
            watch.time(|| std::thread::sleep(step));
        });
        let all = watch.elapsed();
        assert!(all >= 2 * step);
        std::thread::sleep(step);
        assert_eq!(watch.elapsed(), all);
    }
}

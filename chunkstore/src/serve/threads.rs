//! Threads for what may take long, as many as there is to do at once, up to a number. More waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Something to do.
type Job = Box<dyn FnOnce() + Send>;

/// They end with this, each when its job is done.
pub struct Threads {
    most: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that there are, and those of them that wait.
    all: usize,
    idle: usize,
    is_over: bool,
}

impl Threads {
    /// None yet, and never more than `most`.
    pub fn new(most: usize) -> Self {
        Self { most, shared: Arc::default() }
    }

    /// Has a job done.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.state();
        state.jobs.push_back(Box::new(job));
        if state.idle >= state.jobs.len() {
            self.shared.changed.notify_one();
        } else if state.all < self.most {
            state.all += 1;
            let shared = self.shared.clone();
            let started = std::thread::Builder::new().spawn(move || shared.work());
            // There are too many of the system's; the others will do it, or this one if there are none.
            if started.is_err() {
                state.all -= 1;
                if state.all == 0
                    && let Some(job) = state.jobs.pop_back()
                {
                    drop(state);
                    job();
                }
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.state();
        while !state.is_over {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state();
                continue;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_over = true;
        state.jobs.clear();
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Threads").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_than_that_at_once_and_all_in_the_end() {
        let threads = Threads::new(3);
        let (done, all) = channel();
        let running = Arc::new(Mutex::new((0, 0)));
        for number in 0..20 {
            let (done, running) = (done.clone(), running.clone());
            threads.run(move || {
                let count = |change: i32| {
                    let mut running = running.lock().unwrap();
                    running.0 += change;
                    running.1 = running.1.max(running.0);
                };
                count(1);
                std::thread::sleep(Duration::from_millis(2));
                count(-1);
                done.send(number).unwrap();
            });
        }
        let mut numbers: Vec<i32> = all.iter().take(20).collect();
        numbers.sort();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        assert!((1..=3).contains(&running.lock().unwrap().1));
    }
}

//! A watch, from its first sample to its last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::counters::Kernel;
use super::course::Course;
use super::observer::Observer;
use super::output::Output;
use crate::snapshot::Snapshot;
use crate::{Error, Result};

/// So long an end that is wished for waits at most, while nothing is done.
const TURN: Duration = Duration::from_millis(50);

/// When samples are taken.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the beginning of one to that of the next, or as soon as the one before is done.
    pub every: Duration,
    /// How many; without end, if none is said.
    pub count: Option<u64>,
}

/// Takes samples of `of`, which is a name for people, and gives each to the outputs. Ends after as many as are wanted, or when
/// `is_over` becomes true, or an output says so; or with the error that taking a snapshot was. What was seen until then is given
/// to the outputs' ends in each case.
pub fn run(
    of: &str,
    take: &mut dyn FnMut() -> Result<Snapshot>,
    kernel: Kernel,
    pace: Pace,
    outputs: &mut [&mut dyn Output],
    is_over: &AtomicBool,
) -> Result<Course> {
    let mut course = Course::new(of, 4096);
    let ran = samples(take, kernel, pace, outputs, is_over, &mut course);
    let mut result = match ran {
        Err(Error::Interrupted) => Ok(()),
        other => other,
    };
    for output in outputs {
        // Each gets its end; the first error is told.
        let ended = output.end(&course);
        result = result.and(ended);
    }
    result.map(|()| course)
}

fn samples(
    take: &mut dyn FnMut() -> Result<Snapshot>,
    kernel: Kernel,
    pace: Pace,
    outputs: &mut [&mut dyn Output],
    is_over: &AtomicBool,
    course: &mut Course,
) -> Result<()> {
    let mut observer = Observer::new(kernel);
    let mut next = Instant::now();
    loop {
        let snapshot = take()?;
        course.page_size = snapshot.header.page_size;
        course.lacks.clone_from(&snapshot.header.lacks);
        let sample = observer.see(snapshot)?;
        course.add(sample.clone());
        for output in outputs.iter_mut() {
            output.sample(&sample, course)?;
        }
        if pace.count.is_some_and(|count| course.taken >= count) {
            return Ok(());
        }
        // Those that would be late already are left out.
        next = (next + pace.every).max(Instant::now());
        loop {
            let left = next.saturating_duration_since(Instant::now());
            let turn = left.min(TURN);
            let wants_end = match outputs.first_mut() {
                Some(output) => output.wait(turn, course)?,
                None => {
                    std::thread::sleep(turn);
                    false
                }
            };
            if wants_end || is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            if left.is_zero() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{ANON, made};
    use super::super::sample::Sample;
    use super::*;

    /// Remembers what it was told.
    #[derive(Default)]
    struct Log {
        samples: usize,
        ends: usize,
        wants_end_after: Option<usize>,
    }

    impl Output for Log {
        fn sample(&mut self, _: &Sample, course: &Course) -> Result<()> {
            self.samples += 1;
            assert_eq!(course.taken as usize, self.samples);
            Ok(())
        }
        fn wait(&mut self, _: Duration, _: &Course) -> Result<bool> {
            Ok(self.wants_end_after.is_some_and(|most| self.samples >= most))
        }
        fn end(&mut self, course: &Course) -> Result<()> {
            self.ends += 1;
            assert_eq!(course.taken as usize, self.samples);
            Ok(())
        }
    }

    fn kernel() -> Kernel {
        Kernel { ksm: "/nowhere".into(), proc: "/nowhere".into() }
    }

    fn pace(count: Option<u64>) -> Pace {
        Pace { every: Duration::from_millis(1), count }
    }

    #[test]
    fn every_way_out_ends_the_outputs() {
        let mut good = || Ok(made(&[(ANON, 1)], &[]));
        let not = AtomicBool::new(false);
        let mut log = Log::default();
        let course = run("x", &mut good, kernel(), pace(Some(3)), &mut [&mut log], &not).unwrap();
        assert_eq!((log.samples, log.ends, course.taken), (3, 1, 3));

        let mut log = Log { wants_end_after: Some(2), ..Log::default() };
        run("x", &mut good, kernel(), pace(None), &mut [&mut log], &not).unwrap();
        assert_eq!((log.samples, log.ends), (2, 1));

        let mut log = Log::default();
        run("x", &mut good, kernel(), pace(None), &mut [&mut log], &AtomicBool::new(true)).unwrap();
        assert_eq!((log.samples, log.ends), (1, 1));

        let (mut log, mut left) = (Log::default(), 2);
        let mut bad = || {
            left -= 1;
            if left == 0 {
                Err(Error::Process(7, "it ended".into()))
            } else {
                Ok(made(&[(ANON, 1)], &[]))
            }
        };
        let error = run("x", &mut bad, kernel(), pace(None), &mut [&mut log], &not).unwrap_err();
        assert!(matches!(error, Error::Process(7, _)));
        assert_eq!((log.samples, log.ends), (1, 1));
    }
}

//! How long KSM takes, and how much CPU (ksm_do_scan() and scan_time_advisor() of mm/ksm.c).
//!
//! It looks at `pages_to_scan` pages, sleeps, and so on; the round in which it comes to the end of all of them ends there. In
//! the first pass it notes each page's checksum, in the second it merges those that have not changed. (Pages whose only equal is in the same huge page wait for
//! one more; its zeros do not, which the split frees.) Measured with 25,000 planted pages, a third of them in huge ones: 6.0 s at 200
//! pages a round where 6.3 s are foretold, and 1.3 s at 1,000 where 1.4 s are.

use serde::Serialize;

use super::cost::Cost;
use super::settings::{ScanTime, Settings};

/// Percent of the newest change that the advisor takes over.
const NEWEST: u64 = 30;
/// Percent of a CPU that it has KSM take at least (ksm_advisor_min_cpu).
const MIN_CPU: u64 = 10;

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Pages that are looked at, in each pass.
    pub passes: Vec<u64>,
    /// What each costs.
    pub cost: Cost,
    /// The kernel's tick in seconds: it sleeps until the one behind the end of its sleep.
    pub tick: f64,
}

/// How long it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Settling {
    /// Seconds until all is merged.
    pub seconds: f64,
    /// Seconds of a CPU until then.
    pub cpu_seconds: f64,
    /// Percent of a CPU until then. It goes on taking as much at most.
    pub cpu_percent: f64,
    /// Seconds that the last pass took.
    pub pass_seconds: f64,
    /// `pages_to_scan` in the last pass.
    pub pages_to_scan: u64,
}

/// How long KSM takes with these settings.
pub fn settling(work: &Work, settings: &Settings) -> Settling {
    let mut pages_to_scan = match settings.advisor {
        // So it begins when it is switched on.
        Some(advisor) if !settings.is_running => advisor.min_pages,
        _ => settings.pages_to_scan,
    };
    // What ksmd has run since the machine was started is taken for the first pass's when the advisor is switched on, so on a
    // machine where KSM was used before, it goes down to ten pages a round for the second pass.
    let before = if settings.is_running { 0.0 } else { work.cost.ran_seconds };
    let mut advised = Advised { cpu_before: before, ..Advised::default() };
    let sleep = match settings.sleep_millisecs {
        0 => 0.0,
        millisecs => {
            let tick = work.tick.max(1e-6);
            (millisecs as f64 / 1000.0 / tick).ceil() * tick + tick
        }
    };
    let mut settling = Settling { pages_to_scan, ..Settling::default() };
    for &pages in &work.passes {
        let cpu_of_pass = pages as f64 * work.cost.seconds_per_page;
        let rounds = pages / pages_to_scan.max(1) + 1;
        settling.pages_to_scan = pages_to_scan;
        settling.pass_seconds = cpu_of_pass + rounds as f64 * sleep;
        settling.seconds += settling.pass_seconds;
        settling.cpu_seconds += cpu_of_pass;
        if let Some(advisor) = settings.advisor {
            let seconds = settling.pass_seconds as u64;
            pages_to_scan = advised.next(&advisor, pages_to_scan, seconds, cpu_of_pass);
        }
    }
    if settling.seconds > 0.0 {
        settling.cpu_percent = 100.0 * settling.cpu_seconds / settling.seconds;
    }
    settling
}

/// What the advisor remembers.
#[derive(Debug, Default)]
struct Advised {
    seconds: u64,
    change: u64,
    /// Seconds of a CPU that are taken for the next pass's.
    cpu_before: f64,
}

impl Advised {
    /// `pages_to_scan` for the next pass, after one that took so many seconds and so many of a CPU. All in whole numbers, as the
    /// kernel has it.
    fn next(&mut self, advisor: &ScanTime, pages: u64, seconds: u64, cpu: f64) -> u64 {
        let seconds = seconds.max(1);
        let cpu = cpu + std::mem::take(&mut self.cpu_before);
        let cpu_percent = ((cpu * 1000.0) as u64 * 100 / (seconds * 1000)).max(1);
        let last = if self.seconds == 0 { seconds } else { self.seconds };
        let factor = (advisor.target_seconds * 100 / seconds).max(1);
        let change = (seconds * 100 / last).max(1);
        self.change = ((100 - NEWEST) * self.change + NEWEST * change) / 100;
        self.seconds = seconds;
        let wanted = pages.saturating_mul(100) / factor * self.change / 100;
        let of_percent = (pages / cpu_percent).max(1);
        let (most, least) = (of_percent.saturating_mul(advisor.max_cpu), of_percent * MIN_CPU);
        wanted.min(most).max(least).min(advisor.max_pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(pages: u64) -> Work {
        let cost = Cost { seconds_per_page: 5e-6, is_own: true, ran_seconds: 25.0 };
        Work { passes: vec![pages; 2], cost, tick: 0.004 }
    }

    #[test]
    fn two_balloons_of_128_mib() {
        // Measured: 32.4 s and 3% at 100 pages, 3.6 s and 16% at 1,000.
        let of = |pages_to_scan| {
            settling(&work(65536), &Settings { pages_to_scan, ..Settings::default() })
        };
        let (slow, fast) = (of(100), of(1000));
        assert!((slow.seconds - 32.4).abs() < 1.0, "{slow:?}");
        assert!((slow.cpu_percent - 3.0).abs() < 1.5, "{slow:?}");
        assert!((fast.seconds - 3.6).abs() < 0.4, "{fast:?}");
        assert!((fast.cpu_percent - 16.0).abs() < 3.0, "{fast:?}");
    }

    #[test]
    fn nothing_to_do_takes_no_time_to_speak_of() {
        let none = settling(&work(0), &Settings::default());
        assert!(none.seconds < 0.1 && none.cpu_seconds == 0.0);
        let none = settling(&Work { passes: Vec::new(), ..work(7) }, &Settings::default());
        assert_eq!(none.seconds, 0.0);
        let awake = Settings { sleep_millisecs: 0, pages_to_scan: 0, ..Settings::default() };
        assert!((settling(&work(1000), &awake).cpu_percent - 100.0).abs() < 1e-6);
    }

    #[test]
    fn the_advisor_keeps_within_its_bounds() {
        let advisor = ScanTime::default();
        let settings = Settings { advisor: Some(advisor), ..Settings::default() };
        // Measured: 162 s for the two balloons; and ten pages a round after the first pass.
        let balloons = settling(&work(65536), &settings);
        assert_eq!(balloons.pages_to_scan, 10);
        assert!((balloons.seconds - 162.0).abs() < 8.0, "{balloons:?}");
        let much = settling(&Work { passes: vec![1 << 30; 30], ..work(0) }, &settings);
        assert!(much.pages_to_scan > advisor.min_pages, "{much:?}");
        assert!(much.pages_to_scan <= advisor.max_pages, "{much:?}");
    }
}

//! What it costs KSM to look at a page.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// Measured on a Xeon of 2 CPUs in a virtual machine, Linux 6.18, over planted pages of 4 KiB, the first two passes.
const USUAL: f64 = 4.5e-6;
/// With fewer pages the kernel's own figure says little.
const ENOUGH: u64 = 100_000;

/// Seconds of a CPU for a page.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Seconds.
    pub seconds_per_page: f64,
    /// It is this machine's own: the time that its ksmd has had, over the pages that it has looked at.
    pub is_own: bool,
    /// Seconds that ksmd has run since the machine was started; 0 where that is not known.
    pub ran_seconds: f64,
}

impl Cost {
    /// This machine's, or where KSM has not been used, that of another.
    pub fn of_machine() -> Self {
        let scanned = fs::read_to_string("/sys/kernel/mm/ksm/pages_scanned");
        let scanned = scanned.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self::from(scanned, running_time(Path::new("/proc")))
    }

    fn from(scanned: u64, ran: Option<Duration>) -> Self {
        let ran_seconds = ran.unwrap_or_default().as_secs_f64();
        let is_own = scanned >= ENOUGH && ran_seconds > 0.0;
        let seconds_per_page = if is_own { ran_seconds / scanned as f64 } else { USUAL };
        Self { seconds_per_page, is_own, ran_seconds }
    }
}

/// The kernel's tick in seconds, which its coarse clock shows.
pub fn tick() -> f64 {
    let tick = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse);
    tick.tv_sec as f64 + tick.tv_nsec as f64 / 1e9
}

/// How long ksmd has run (Documentation/scheduler/sched-stats.rst: the first number of schedstat, in nanoseconds).
fn running_time(proc: &Path) -> Option<Duration> {
    let processes = fs::read_dir(proc).ok()?;
    let ksmd = processes.filter_map(Result::ok).find(|entry| {
        let is_named =
            fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name == "ksmd\n");
        // A program that calls itself so has a file that it executes.
        is_named && fs::read(entry.path().join("cmdline")).is_ok_and(|words| words.is_empty())
    })?;
    let text = fs::read_to_string(ksmd.path().join("schedstat")).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_where_it_has_run() {
        let cost = Cost::from(1_000_000, Some(Duration::from_secs(5)));
        assert_eq!(cost, Cost { seconds_per_page: 5e-6, is_own: true, ran_seconds: 5.0 });
        let little = Cost::from(7, Some(Duration::from_secs(5)));
        assert_eq!((little.is_own, little.ran_seconds), (false, 5.0));
        assert!(!Cost::from(7, None).is_own);
    }

    #[test]
    fn the_kernels_thread_is_found() {
        let proc = tempfile::tempdir().unwrap();
        assert_eq!(running_time(proc.path()), None);
        let own = proc.path().join("44");
        fs::create_dir(&own).unwrap();
        for (name, text) in [("comm", "ksmd\n"), ("cmdline", ""), ("schedstat", "7000 1 2\n")] {
            fs::write(own.join(name), text).unwrap();
        }
        assert_eq!(running_time(proc.path()), Some(Duration::from_nanos(7000)));
        fs::write(own.join("cmdline"), "ksmd\0").unwrap();
        assert_eq!(running_time(proc.path()), None);
    }
}

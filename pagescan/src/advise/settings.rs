//! How KSM is set (/sys/kernel/mm/ksm, Documentation/admin-guide/mm/ksm.rst).

use std::fs;
use std::path::Path;

use serde::Serialize;

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// It runs.
    pub is_running: bool,
    /// Pages that it looks at before it sleeps.
    pub pages_to_scan: u64,
    /// How long it sleeps, in milliseconds.
    pub sleep_millisecs: u64,
    /// A frame stands for at most as many pages.
    pub max_page_sharing: u64,
    /// Pages of zeros go to the kernel's.
    pub use_zero_pages: bool,
    /// Pages that were looked at several times are left out of most passes (since Linux 6.7).
    pub smart_scan: bool,
    /// How often it has looked at all pages since it was switched on, or since all that it had merged was separated.
    pub full_scans: u64,
    /// By what `pages_to_scan` is changed after each pass.
    pub advisor: Option<ScanTime>,
}

/// The scan-time advisor: all pages are to be looked at once in a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ScanTime {
    /// That time, in seconds.
    pub target_seconds: u64,
    /// Percent of a CPU that it may take at most.
    pub max_cpu: u64,
    /// The pages to scan in the first pass (advisor_min_pages_to_scan).
    pub min_pages: u64,
    /// The most.
    pub max_pages: u64,
}

impl Default for ScanTime {
    fn default() -> Self {
        Self { target_seconds: 200, max_cpu: 70, min_pages: 500, max_pages: 30_000 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_running: false,
            pages_to_scan: 100,
            sleep_millisecs: 20,
            max_page_sharing: 256,
            use_zero_pages: false,
            smart_scan: false,
            full_scans: 0,
            advisor: None,
        }
    }
}

impl Settings {
    /// Those of the kernel whose directory for it this is; the kernel's defaults for what is not there.
    pub fn read(directory: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
        let number = |name: &str, or: u64| text(name).trim().parse().unwrap_or(or);
        let (usual, advice) = (Self::default(), ScanTime::default());
        let is_advised = text("advisor_mode").contains("[scan-time]");
        Self {
            is_running: number("run", 0) == 1,
            pages_to_scan: number("pages_to_scan", usual.pages_to_scan),
            sleep_millisecs: number("sleep_millisecs", usual.sleep_millisecs),
            max_page_sharing: number("max_page_sharing", usual.max_page_sharing),
            use_zero_pages: number("use_zero_pages", 0) == 1,
            smart_scan: number("smart_scan", 0) == 1,
            full_scans: number("full_scans", 0),
            advisor: is_advised.then(|| ScanTime {
                target_seconds: number("advisor_target_scan_time", advice.target_seconds),
                max_cpu: number("advisor_max_cpu", advice.max_cpu),
                min_pages: number("advisor_min_pages_to_scan", advice.min_pages),
                max_pages: number("advisor_max_pages_to_scan", advice.max_pages),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_and_what_it_does_not() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(directory.path()), Settings::default());
        let files = [
            ("run", "1\n"),
            ("pages_to_scan", "1000\n"),
            ("use_zero_pages", "1\n"),
            ("smart_scan", "1\n"),
            ("full_scans", "12\n"),
            ("advisor_mode", "none [scan-time]\n"),
            ("advisor_max_cpu", "30\n"),
        ];
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let settings = Settings::read(directory.path());
        assert!(settings.is_running && settings.use_zero_pages && settings.smart_scan);
        assert_eq!((settings.pages_to_scan, settings.sleep_millisecs), (1000, 20));
        assert_eq!(settings.full_scans, 12);
        assert_eq!(settings.advisor, Some(ScanTime { max_cpu: 30, ..ScanTime::default() }));
    }
}

//! What the kernel says of KSM and of the page cache. What it does not say, or not to this user, is none.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::Serialize;

use crate::snapshot::Process;

/// Where it says so.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// KSM's directory (Documentation/admin-guide/mm/ksm.rst).
    pub ksm: PathBuf,
    /// That of processes.
    pub proc: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { ksm: "/sys/kernel/mm/ksm".into(), proc: "/proc".into() }
    }
}

/// KSM on the whole machine, in the kernel's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ksm {
    /// 1 if it runs.
    pub run: Option<u64>,
    /// Frames that are for several pages.
    pub pages_shared: Option<u64>,
    /// Pages that need no frame of their own for that. Huge pages that were split are not all in it.
    pub pages_sharing: Option<u64>,
    /// Pages that were looked at and are alone.
    pub pages_unshared: Option<u64>,
    /// Pages that change too fast.
    pub pages_volatile: Option<u64>,
    /// Pages that were not looked at, since they were alone before (smart_scan).
    pub pages_skipped: Option<u64>,
    /// Pages that were looked at.
    pub pages_scanned: Option<u64>,
    /// Pages that were put into the kernel's page of zeros.
    pub ksm_zero_pages: Option<u64>,
    /// How often all pages were looked at.
    pub full_scans: Option<u64>,
    /// Bytes that are saved, less those that this takes.
    pub general_profit: Option<i64>,
    /// So many pages at most are in one frame.
    pub max_page_sharing: Option<u64>,
}

/// KSM in a process (/proc/PID/ksm_stat).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessKsm {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Pages that KSM has looked at.
    pub rmap_items: u64,
    /// Pages that are in a frame with others.
    pub merging_pages: u64,
    /// Pages in the kernel's page of zeros.
    pub zero_pages: u64,
    /// Bytes that are saved in it, less those that this takes.
    pub profit: i64,
}

impl Kernel {
    /// KSM's counters.
    pub fn ksm(&self) -> Ksm {
        let number = |name: &str| self.number(name)?.try_into().ok();
        Ksm {
            run: number("run"),
            pages_shared: number("pages_shared"),
            pages_sharing: number("pages_sharing"),
            pages_unshared: number("pages_unshared"),
            pages_volatile: number("pages_volatile"),
            pages_skipped: number("pages_skipped"),
            pages_scanned: number("pages_scanned"),
            ksm_zero_pages: number("ksm_zero_pages"),
            full_scans: number("full_scans"),
            general_profit: self.number("general_profit"),
            max_page_sharing: number("max_page_sharing"),
        }
    }

    fn number(&self, name: &str) -> Option<i64> {
        text(File::open(self.ksm.join(name)).ok()?)?.trim().parse().ok()
    }

    /// Bytes of the page cache (`Cached` of /proc/meminfo).
    pub fn page_cache(&self) -> Option<u64> {
        let text = text(File::open(self.proc.join("meminfo")).ok()?)?;
        let kib: u64 = value(&text, "Cached:")?.parse().ok()?;
        kib.checked_mul(1024)
    }

    /// KSM in a process, if it is still this one and KSM has to do with it.
    pub fn process(&self, process: &Process) -> Option<ProcessKsm> {
        let path = self.proc.join(process.pid.to_string());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let open = |name: &str| {
            let file = rustix::fs::openat(
                &dir,
                Path::new(name),
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            );
            text(file.ok()?.into())
        };
        let text = open("ksm_stat")?;
        if start(&open("stat")?)? != process.start {
            return None;
        }
        let number = |name: &str| value(&text, name).and_then(|value| value.parse().ok());
        let stat = ProcessKsm {
            pid: process.pid,
            name: process.name.clone(),
            rmap_items: number("ksm_rmap_items").unwrap_or(0),
            merging_pages: number("ksm_merging_pages").unwrap_or(0),
            zero_pages: number("ksm_zero_pages").unwrap_or(0),
            profit: value(&text, "ksm_process_profit")
                .and_then(|value| value.parse().ok())
                .unwrap_or(0),
        };
        (stat.rmap_items > 0 || stat.merging_pages > 0 || stat.zero_pages > 0).then_some(stat)
    }
}

/// The word behind a name at the beginning of a line.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| if words.next()? == name { words.next() } else { None })
}

/// When a process was started: field 22 of /proc/PID/stat, the 20th behind its name (proc_pid_stat(5)).
fn start(stat: &str) -> Option<u64> {
    stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()
}

/// A short text; names of processes in it need not be UTF-8.
fn text(file: File) -> Option<String> {
    let mut bytes = Vec::new();
    file.take(64 << 10).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn kernel(dir: &Path) -> Kernel {
        Kernel { ksm: dir.join("ksm"), proc: dir.join("proc") }
    }

    #[test]
    fn what_is_said_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = kernel(dir.path());
        fs::create_dir(&kernel.ksm).unwrap();
        fs::create_dir_all(kernel.proc.join("7")).unwrap();
        fs::write(kernel.ksm.join("pages_sharing"), "12\n").unwrap();
        fs::write(kernel.ksm.join("general_profit"), "-4096\n").unwrap();
        fs::write(kernel.ksm.join("run"), "nonsense\n").unwrap();
        let expected =
            Ksm { pages_sharing: Some(12), general_profit: Some(-4096), ..Ksm::default() };
        assert_eq!(kernel.ksm(), expected);
        fs::write(kernel.proc.join("meminfo"), "SwapCached: 1 kB\nCached:   3 kB\n").unwrap();
        assert_eq!(kernel.page_cache(), Some(3072));

        let stat = b"7 (a) \xff) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20 21\n";
        fs::write(kernel.proc.join("7/stat"), stat).unwrap();
        let text =
            "ksm_rmap_items 5\nksm_zero_pages 1\nksm_merging_pages 3\nksm_process_profit -9\n";
        fs::write(kernel.proc.join("7/ksm_stat"), text).unwrap();
        let mut process = Process { pid: 7, start: 99, name: "a".into(), ..Process::default() };
        let expected = ProcessKsm {
            pid: 7,
            name: "a".into(),
            rmap_items: 5,
            merging_pages: 3,
            zero_pages: 1,
            profit: -9,
        };
        assert_eq!(kernel.process(&process), Some(expected));
        // Another with the same number.
        process.start = 98;
        assert_eq!(kernel.process(&process), None);
    }

    #[test]
    fn what_is_not_said_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = kernel(dir.path());
        assert_eq!(kernel.ksm(), Ksm::default());
        assert_eq!(kernel.page_cache(), None);
        assert_eq!(kernel.process(&Process::default()), None);
    }

    #[test]
    fn this_kernel_is_understood() {
        let kernel = Kernel::default();
        assert!(kernel.page_cache().is_some());
        let own = text(File::open("/proc/self/stat").unwrap()).unwrap();
        assert!(start(&own).is_some_and(|start| start > 0));
    }
}

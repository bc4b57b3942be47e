//! What the kernel says of KSM in a process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use statify_process::ProcessDir;

use crate::error::{Error, Result};

/// The kernel's directory for it.
pub(super) const DIRECTORY: &str = "/sys/kernel/mm/ksm";

/// What /proc/PID/ksm_stat says (Documentation/filesystems/proc.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// All of its memory may be merged that can be (PR_SET_MEMORY_MERGE); unknown before Linux 6.4 and in some later ones.
    pub merge_any: Option<bool>,
    /// Some of its memory may be merged, be it by its own wish (MADV_MERGEABLE); unknown before Linux 6.15.
    pub mergeable: Option<bool>,
    /// Pages of it that are merged with others, be they its own.
    pub merging_pages: u64,
    /// Pages of it that are in the kernel's page of zeros by KSM.
    pub zero_pages: u64,
    /// Pages of it that KSM keeps account of.
    pub known_pages: u64,
    /// Bytes that are saved by what is merged, less those that it takes to keep account.
    pub profit: i64,
}

impl State {
    /// Of a process.
    pub fn of(pid: u32) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{pid}/ksm_stat"));
        let stat = ProcessDir::open(pid).and_then(|process| process.stat());
        let without_memory = match stat {
            Ok(stat) if stat.is_kernel_thread() => {
                Some("it is a thread of the kernel, which has no memory of its own")
            }
            Ok(stat) if stat.is_over() => {
                Some("it has ended (a zombie), and has no memory any more")
            }
            _ => None,
        };
        if let Some(why) = without_memory {
            return Err(Error::Process(pid, why.into()));
        }
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if is_gone(&error) && !Path::new(DIRECTORY).exists() => {
                return Err(Error::Process(pid, "this kernel has no KSM (CONFIG_KSM)".into()));
            }
            Err(error) if is_gone(&error) => {
                let is_there = Path::new("/proc").join(pid.to_string()).exists();
                let why = match is_there {
                    true => {
                        "this kernel does not tell what KSM does to a process (before Linux 6.1)"
                    }
                    false => "there is no such process",
                };
                return Err(Error::Process(pid, why.into()));
            }
            Err(error) => return Err(Error::Kernel(path, error)),
        };
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut state = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(' ') else { continue };
            let number = value.parse().unwrap_or(0);
            match name {
                "ksm_rmap_items" => state.known_pages = number,
                "ksm_zero_pages" => state.zero_pages = number,
                "ksm_merging_pages" => state.merging_pages = number,
                "ksm_process_profit" => state.profit = value.parse().unwrap_or(0),
                "ksm_merge_any:" => state.merge_any = Some(value == "yes"),
                "ksm_mergeable:" => state.mergeable = Some(value == "yes"),
                _ => {}
            }
        }
        state
    }
}

/// Whether KSM does anything now, for the whole machine.
pub fn is_running() -> bool {
    let run = fs::read_to_string(Path::new(DIRECTORY).join("run"));
    run.is_ok_and(|text| text.trim() == "1")
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kernels_say() {
        let text = "ksm_rmap_items 12\nksm_zero_pages 1\nksm_merging_pages 7\nksm_process_profit -64\n\
                    ksm_merge_any: yes\nksm_mergeable: no\n";
        let state = State::parse(text);
        assert_eq!((state.merge_any, state.mergeable), (Some(true), Some(false)));
        assert_eq!((state.known_pages, state.zero_pages), (12, 1));
        assert_eq!((state.merging_pages, state.profit), (7, -64));
        // Linux 6.1 had this much.
        let state = State::parse("ksm_rmap_items 3\n");
        assert_eq!((state.known_pages, state.merge_any), (3, None));
        assert_eq!(State::parse("\0 x\n\n"), State::default());
    }
}

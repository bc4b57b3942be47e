//! One boot: a machine is started, waited for, and looked at.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use statify_process::ksm::Ksm;
use statify_vm::monitor;
use statify_vm::{Accelerator, Console, Disk, Kind, Machine, Serial};

use super::memory::{self, Memory};
use super::options::Options;
use super::record::Record;
use crate::error::Result;
use crate::error::boot::Fault;

/// How often it is looked whether pages are still merged.
const GLANCE: Duration = Duration::from_millis(250);
/// It has settled when all pages were looked at so often without as many more being merged.
const SCANS: u64 = 2;

/// What a machine is booted from.
#[derive(Debug)]
pub struct From<'a> {
    /// The kernel.
    pub kernel: &'a PathBuf,
    /// The initial file system.
    pub initial_files: Option<&'a PathBuf>,
    /// The kernel's parameters.
    pub parameters: &'a str,
    /// The root.
    pub disk: Disk,
    /// In words.
    pub guest: String,
    /// The name of the file of what it says.
    pub transcript: String,
}

/// What a boot took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// From QEMU's start to the login.
    pub seconds: f64,
    /// Bytes that the guest had read from its disk by then.
    pub read_bytes: u64,
    /// In so many requests.
    pub requests: u64,
    /// Memory then; with KSM when it had settled.
    pub memory: Memory,
    /// With KSM, when as good as all was merged, in seconds since QEMU's start; nothing if it was not waited for or went
    /// on for too long.
    pub settled: Option<f64>,
}

/// What is the same for all machines of a run.
#[derive(Debug)]
pub struct Bench<'a> {
    /// What is asked for.
    pub options: &'a Options,
    /// What runs their instructions.
    pub accelerator: Accelerator,
    /// Where transcripts go.
    pub record: &'a Record,
}

impl Bench<'_> {
    /// Boots a machine and ends it. With `ksm`, which is on then, its pages may be merged; `settle` says to wait until they
    /// are. `then` is called at the login.
    pub fn boot(
        &self,
        from: &From<'_>,
        ksm: Option<&Ksm>,
        settle: bool,
        then: impl FnOnce(),
    ) -> Result<Measured> {
        let Options { scratch, memory, cpus, .. } = self.options;
        let socket = scratch.join("monitor");
        let machine = Machine {
            kind: Kind::HERE,
            accelerator: self.accelerator,
            cpu: cpu(self.accelerator).into(),
            cpus: *cpus,
            memory: *memory,
            mergeable: ksm.is_some(),
            kernel: from.kernel.clone(),
            initial_files: from.initial_files.cloned(),
            parameters: from.parameters.to_owned(),
            serial: vec![Serial::Standard],
            disks: vec![from.disk.clone()],
            monitor: Some(socket.clone()),
        };
        let transcript = self.record.begin(&from.transcript)?;
        let started = Instant::now();
        let emulator = machine.start(scratch).map_err(Fault::from)?;
        let mut console = Console::of(emulator, transcript).map_err(Fault::from)?;
        self.wait(&mut console, from)?;
        let seconds = started.elapsed().as_secs_f64();
        then();
        let reads = monitor::reads(&socket).map_err(Fault::from)?;
        let pid = console.pid();
        let settled = match ksm {
            Some(ksm) if settle => settled(started, self.options.settle, pid, ksm),
            _ => None,
        };
        let memory = memory::of(pid, memory << 20).map_err(Fault::Memory)?;
        let (read_bytes, requests) = (reads.bytes, reads.requests);
        Ok(Measured { seconds, read_bytes, requests, memory, settled })
    }

    fn wait(&self, console: &mut Console, from: &From<'_>) -> Result<()> {
        let Options { until, patience, .. } = self.options;
        let (guest, transcript) = (from.guest.clone(), self.record.path(&from.transcript));
        match console.wait(until, *patience) {
            Ok(_) => Ok(()),
            Err(statify_vm::Error::InVain { pattern, .. }) => Err(Fault::NoLogin {
                guest,
                until: pattern,
                seconds: patience.as_secs(),
                transcript,
            }
            .into()),
            Err(statify_vm::Error::Stopped { pattern, .. }) => {
                Err(Fault::Ended { guest, until: pattern, transcript }.into())
            }
            Err(error) => Err(Fault::from(error).into()),
        }
    }
}

/// The best that there is of each.
pub fn cpu(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Software => "max",
        Accelerator::Kvm => "host",
    }
}

/// Waits until no more pages of a process are merged. Returns when as good as all were, in seconds.
fn settled(started: Instant, most: Duration, pid: u32, ksm: &Ksm) -> Option<f64> {
    let until = Instant::now() + most;
    let mut seen: Vec<(f64, u64)> = Vec::new();
    let (mut grew, mut grown) = (ksm.full_scans(), 0);
    while Instant::now() < until {
        let pages = memory::merged_pages(pid);
        seen.push((started.elapsed().as_secs_f64(), pages));
        if is_more(pages, grown) {
            (grew, grown) = (ksm.full_scans(), pages);
        } else if ksm.full_scans() > grew + SCANS {
            return Some(when_merged(&seen));
        }
        std::thread::sleep(GLANCE);
    }
    None
}

/// Whether a number of pages is a hundredth larger than another one.
fn is_more(pages: u64, than: u64) -> bool {
    pages > than + than / 100
}

/// When 99 of 100 of the pages were merged that are in the end.
fn when_merged(seen: &[(f64, u64)]) -> f64 {
    let last = seen.last().map_or(0, |(_, pages)| *pages);
    let found = seen.iter().find(|(_, pages)| pages * 100 >= last * 99);
    found.map_or(0.0, |(seconds, _)| *seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_as_good_as_all_is_merged() {
        assert_eq!(when_merged(&[(1.0, 0), (2.0, 500), (3.0, 992), (4.0, 1000), (5.0, 999)]), 3.0);
        assert_eq!(when_merged(&[]), 0.0);
        assert!(is_more(1, 0) && is_more(1011, 1000) && !is_more(1009, 1000) && !is_more(0, 0));
    }
}

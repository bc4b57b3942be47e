//! Guests, emulated.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use regex::bytes::Regex;
use statify_vm::{Accelerator, Console, Disk, Kind, Machine, Serial};

/// Longer than anything takes that a guest is asked for, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a guest is started from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initial file system.
    pub initial_files: Option<PathBuf>,
    /// The disk, which is the root if there are no initial files.
    pub disk: Option<PathBuf>,
    /// Memory, in MiB.
    pub memory: u64,
    /// Parameters for the kernel and for what it starts.
    pub parameters: String,
    /// KSM may merge its memory.
    pub merge: bool,
}

/// A guest, which ends with this.
pub struct Guest {
    console: Console,
}

impl Guest {
    /// Starts one, whose words are kept in `scratch`.
    pub fn start(plan: &Plan, scratch: &Path) -> Result<Self> {
        let root = match plan.initial_files {
            None => "root=/dev/nvme0n1 rw ",
            Some(_) => "",
        };
        let machine = Machine {
            kind: Kind::HERE,
            // Memory is the same whoever runs its instructions, and this needs nothing.
            accelerator: Accelerator::Software,
            cpu: "max".into(),
            cpus: 1,
            memory: plan.memory,
            mergeable: plan.merge,
            kernel: plan.kernel.clone(),
            initial_files: plan.initial_files.clone(),
            parameters: format!("{root}{}", plan.parameters),
            serial: vec![Serial::Standard],
            disks: plan.disk.iter().cloned().map(Disk::File).collect(),
            monitor: None,
        };
        let transcript = tempfile::tempfile_in(scratch)?;
        Ok(Self { console: Console::of(machine.start(scratch)?, transcript)? })
    }

    /// The process that emulates it.
    pub fn pid(&self) -> u32 {
        self.console.pid()
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        Ok(self.console.type_line(line)?)
    }

    /// Waits until it says something.
    pub fn hear(&mut self, pattern: &str) -> Result<()> {
        self.console.wait(&Regex::new(pattern)?, PATIENCE)?;
        Ok(())
    }

    /// Whether it says something within a time.
    pub fn says(&mut self, pattern: &str, time: Duration) -> Result<bool> {
        match self.console.wait(&Regex::new(pattern)?, time) {
            Ok(_) => Ok(true),
            Err(statify_vm::Error::InVain { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The kernel of guests: of the directory `TEST_KERNEL`, an unpacked package of Debian's cloud kernel; otherwise this machine's.
pub fn kernel() -> Result<PathBuf> {
    let dir = std::env::var_os("TEST_KERNEL").map_or_else(|| "/".into(), PathBuf::from);
    let boot = dir.join("boot");
    let entries = fs::read_dir(&boot).with_context(|| boot.display().to_string())?;
    let mut kernels: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        })
        .collect();
    kernels.sort();
    kernels.pop().with_context(|| {
        format!("{} has no kernel; set TEST_KERNEL to an unpacked package of one", boot.display())
    })
}

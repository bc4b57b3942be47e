//! What a command used while it ran.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

/// What a finished command and the descendants it waited for used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// From start to end.
    pub wall: Duration,
    /// User and system time together.
    pub cpu: Duration,
    /// The largest resident set of any of them, in bytes.
    pub peak: u64,
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> Result<(WaitStatus, Usage)> {
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).spawn();
    let child = child.with_context(|| format!("starting {:?}", command.get_program()))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes of their types for the duration of the call.
    let waited = unsafe { libc::wait4(pid.as_raw(), &mut status, 0, usage.as_mut_ptr()) };
    Errno::result(waited).context("wait4")?;
    let wall = started.elapsed();
    // SAFETY: an all-zero rusage is valid, and wait4 has filled it.
    let usage = unsafe { usage.assume_init() };
    let time =
        |value: libc::timeval| Duration::new(value.tv_sec as u64, value.tv_usec as u32 * 1000);
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    let used = Usage { wall, cpu, peak: usage.ru_maxrss as u64 * 1024 };
    Ok((WaitStatus::from_raw(pid, status)?, used))
}

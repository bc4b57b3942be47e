//! Starting a process cheaply and alike each time, and waiting for it.
//!
//! `posix_spawn` of glibc is `clone(CLONE_VM | CLONE_VFORK)`: nothing of the parent is copied, and its size does not matter.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A command line whose start needs no further preparation. Its output goes to /dev/null, its environment is small and fixed.
pub struct Launch {
    arguments: Vec<CString>,
    environment: Vec<CString>,
    actions: PosixSpawnFileActions,
    attributes: PosixSpawnAttr,
    /// Held open for `actions`, which duplicate it.
    _null: File,
}

impl Launch {
    /// Prepares `program` with `arguments`.
    pub fn new(program: &Path, arguments: &[&OsStr]) -> Result<Self> {
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .context("cannot open /dev/null")?;
        let mut actions = PosixSpawnFileActions::init()?;
        for standard in 0..3 {
            actions.add_dup2(null.as_raw_fd(), standard)?;
        }
        // Rust's runtime ignores SIGPIPE, and a child would inherit that.
        let mut default = SigSet::empty();
        default.add(Signal::SIGPIPE);
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_sigdefault(&default)?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;

        let words = std::iter::once(program.as_os_str()).chain(arguments.iter().copied());
        Ok(Self {
            arguments: words.map(|word| CString::new(word.as_bytes())).collect::<Result<_, _>>()?,
            environment: environment()?,
            actions,
            attributes,
            _null: null,
        })
    }

    fn program(&self) -> &CStr {
        &self.arguments[0]
    }

    /// Starts the program.
    pub fn start(&self) -> Result<Pid> {
        posix_spawn(
            self.program(),
            &self.actions,
            &self.attributes,
            &self.arguments,
            &self.environment,
        )
        .with_context(|| format!("cannot start {}", self.program().to_string_lossy()))
    }

    /// Runs the program to its end: the time from before `posix_spawn` until it is reaped. It must end with status 0.
    pub fn time(&self) -> Result<Duration> {
        let start = Instant::now();
        let child = self.start()?;
        let status = waitpid(child, None)?;
        let elapsed = start.elapsed();
        self.expect_success(status)?;
        Ok(elapsed)
    }

    /// Runs the program once, as [`Launch::time`] does, but kills it after `limit`.
    pub fn check(&self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let child = self.start()?;
        loop {
            match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive if start.elapsed() < limit => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                WaitStatus::StillAlive => {
                    kill(child, Signal::SIGKILL)?;
                    waitpid(child, None)?;
                    bail!("{} does not end", self.program().to_string_lossy());
                }
                status => return self.expect_success(status),
            }
        }
    }

    fn expect_success(&self, status: WaitStatus) -> Result<()> {
        match status {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, code) => {
                bail!("{} ended with status {code}", self.program().to_string_lossy())
            }
            other => bail!("{} ended with {other:?}", self.program().to_string_lossy()),
        }
    }
}

fn environment() -> Result<Vec<CString>> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let path = [b"PATH=", path.as_bytes()].concat();
    let mut environment = vec![CString::new(path)?];
    environment.extend([c"HOME=/nonexistent".to_owned(), c"LANG=C.UTF-8".to_owned()]);
    Ok(environment)
}

/// What a finished child and the descendants it waited for have used.
pub struct Usage {
    /// User and system time together.
    pub cpu: Duration,
    /// Largest resident set of any of them, in bytes.
    pub peak_rss: u64,
}

/// Waits for `child`: its wait status and what it has used.
pub fn wait_usage(child: Pid) -> Result<(WaitStatus, Usage)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes of their types for the duration of the call.
    let waited = unsafe { libc::wait4(child.as_raw(), &mut status, 0, usage.as_mut_ptr()) };
    Errno::result(waited).context("wait4")?;
    // SAFETY: an all-zero rusage is valid, and wait4 has filled it.
    let usage = unsafe { usage.assume_init() };
    let time =
        |value: libc::timeval| Duration::new(value.tv_sec as u64, value.tv_usec as u32 * 1000);
    let used = Usage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_rss: usage.ru_maxrss as u64 * 1024,
    };
    Ok((WaitStatus::from_raw(child, status)?, used))
}

/// While it lives, this process and the children it starts run on one CPU.
pub struct Pinned {
    before: CpuSet,
}

/// Pins to `cpu`, or else to the last CPU this process may run on (the first ones serve most interrupts).
pub fn pin(cpu: Option<usize>) -> Result<Pinned> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this)?;
    let last = || (0..CpuSet::count()).rev().find(|&cpu| before.is_set(cpu).unwrap_or(false));
    let cpu = cpu.or_else(last).context("no CPU to run on")?;
    let mut one = CpuSet::new();
    one.set(cpu).with_context(|| format!("CPU {cpu}"))?;
    sched_setaffinity(this, &one).with_context(|| format!("cannot run on CPU {cpu}"))?;
    Ok(Pinned { before })
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Nothing to do about a failure: the CPUs may have gone meanwhile.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

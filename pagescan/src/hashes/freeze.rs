//! A process that stands still while it is read.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{Error, Result};

/// So long is waited until every thread has stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that was stopped by SIGSTOP; it goes on when this is dropped. One that stood already stays so.
#[derive(Debug)]
pub struct Frozen(Option<OwnedFd>);

impl Frozen {
    /// Stops it, and waits until it stands; given up when `is_over` becomes true.
    pub fn new(pid: u32, is_over: &AtomicBool) -> Result<Self> {
        let refused = |why: &str| Error::Process(pid, why.into());
        if pid == std::process::id() {
            return Err(refused("that is pagescan itself, which cannot stop and go on"));
        }
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| refused("there is no such process"))?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())
            .map_err(|errno| Error::Process(pid, format!("it cannot be stopped: {errno}")))?;
        if is_stopped(pid) {
            return Ok(Self(None));
        }
        pidfd_send_signal(&pidfd, Signal::STOP)
            .map_err(|errno| Error::Process(pid, format!("it may not be stopped: {errno}")))?;
        // From here on it goes on whatever happens.
        let frozen = Self(Some(pidfd));
        let until = Instant::now() + PATIENCE;
        while !is_stopped(pid) {
            if is_over.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if Instant::now() > until {
                return Err(refused("it does not stop; it is left as it was"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.0 {
            // If it has ended, there is nothing to do.
            let _ = pidfd_send_signal(pidfd, Signal::CONT);
        }
    }
}

/// Whether every thread stands, by a signal or by a debugger.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        // A thread that has ended meanwhile does nothing either.
        fs::read(thread.path().join("stat")).map_or(true, |stat| is_still(&stat))
    })
}

/// The state in /proc/PID/stat, which stands behind the last bracket (proc_pid_stat(5)).
fn is_still(stat: &[u8]) -> bool {
    let name = stat.iter().rposition(|&byte| byte == b')');
    name.and_then(|at| stat.get(at + 2)).is_some_and(|state| b"TtXZ".contains(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_behind_the_name() {
        assert!(is_still(b"7 (a) S (b) T 1 7"));
        assert!(!is_still(b"7 (a T) S 1 7"));
        assert!(!is_still(b""));
    }
}

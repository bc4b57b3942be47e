//! A server that runs, from its start until it has ended and what it has used is known.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use statify_bench::spawn::{Usage, wait_usage};

use super::place::Place;

/// For how long a server may take until it answers, or until it has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server; it is told to end with this.
pub struct Running {
    pid: Pid,
    /// What tells it to end in an orderly way.
    stop: Signal,
    ended: bool,
}

impl Running {
    /// Starts it and waits until `answers` says so.
    pub fn start(
        mut command: std::process::Command,
        stop: Signal,
        place: &Place,
        answers: impl Fn() -> bool,
    ) -> Result<Self> {
        let child = command.spawn()?;
        let mut server = Self { pid: Pid::from_raw(child.id() as i32), stop, ended: false };
        let since = Instant::now();
        while !answers() {
            if waitpid(server.pid, Some(WaitPidFlag::WNOHANG))? != WaitStatus::StillAlive {
                server.ended = true;
                bail!("{command:?} has ended: {}", place.said());
            }
            ensure!(since.elapsed() < PATIENCE, "{command:?} does not answer: {}", place.said());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Ends it: what it and its processes have used.
    pub fn end(mut self) -> Result<Usage> {
        kill(self.pid, self.stop)?;
        let (status, usage) = wait_usage(self.pid)?;
        self.ended = true;
        match status {
            WaitStatus::Exited(_, 0) => Ok(usage),
            status => bail!("a server ended with {status:?}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // An orderly end, so that its children end, too.
            let _ = kill(self.pid, self.stop);
            let since = Instant::now();
            while waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
                if since.elapsed() > PATIENCE {
                    let _ = kill(self.pid, Signal::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

//! One run of one file in the sandbox, with what it printed.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rootfs_tools::check::outcome::{End, Outcome, capture};

use crate::sandbox::{Order, Reply};

/// Runs `order` in a sandbox of its own; `deadline` is the last resort behind the order's own limit.
pub fn run(order: &Order, deadline: Duration) -> Result<Outcome> {
    let (mut socket, theirs) = UnixStream::pair()?;
    let child = Command::new("/proc/self/exe")
        .arg("launch")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start the launcher")?;
    let mut launcher = Launcher(child);
    socket.write_all(&serde_json::to_vec(order)?)?;
    socket.shutdown(Shutdown::Write)?;

    let pipes = (launcher.0.stdout.take(), launcher.0.stderr.take());
    let (Some(stdout), Some(stderr)) = pipes else {
        bail!("the launcher has no pipes");
    };
    // A program that prints more than is kept is stopped.
    let [stdout, stderr] =
        capture([stdout.into(), stderr.into()], Instant::now() + deadline, true)?;
    if stdout.is_cut() || stderr.is_cut() {
        return Ok(Outcome { end: End::Stopped, stdout, stderr });
    }
    let mut report = String::new();
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.read_to_string(&mut report).context("read the launcher's report")?;
    match serde_json::from_str(&report).context("parse the launcher's report")? {
        // Two runs that fail for this reason would agree.
        Reply::NoSandbox(why) => bail!("the sandbox cannot be built here: {why}"),
        Reply::Ended(end) => Ok(Outcome { end, stdout, stderr }),
    }
}

/// Kills the launcher, and so everything in the sandbox, when the run is over.
struct Launcher(Child);

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! One run of one file in the sandbox, with what it printed.

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sandbox::{End, Order};

/// Bytes of each stream that are kept and compared; a program that prints more is stopped.
const STREAM_LIMIT: usize = 1 << 20;

/// What a program printed on one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// At most [`STREAM_LIMIT`] bytes.
    pub bytes: Vec<u8>,
    /// The program was stopped since it printed more.
    pub cut: bool,
}

/// What one run left to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it printed on stdout.
    pub stdout: Stream,
    /// What it printed on stderr.
    pub stderr: Stream,
}

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

    let (stdout, stderr) = capture(&mut launcher.0, Instant::now() + deadline)?;
    if stdout.cut || stderr.cut {
        return Ok(Outcome { end: End::Stopped, stdout, stderr });
    }
    let mut report = String::new();
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.read_to_string(&mut report).context("read the launcher's report")?;
    match serde_json::from_str(&report).context("parse the launcher's report")? {
        // Two runs that fail for this reason would agree.
        End::NoSandbox(why) => bail!("the sandbox cannot be built here: {why}"),
        end => Ok(Outcome { end, stdout, stderr }),
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

fn capture(child: &mut Child, deadline: Instant) -> Result<(Stream, Stream)> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("the launcher has no pipes");
    };
    let pipes = [OwnedFd::from(stdout), OwnedFd::from(stderr)].map(File::from);
    let mut streams = [Stream::default(), Stream::default()];
    let mut open = vec![0, 1];
    let mut buffer = vec![0; 1 << 16];
    'reading: while !open.is_empty() {
        for number in await_input(&pipes, &open, deadline)? {
            let count = (&pipes[number]).read(&mut buffer)?;
            let stream = &mut streams[number];
            stream.bytes.extend_from_slice(&buffer[..count]);
            if stream.bytes.len() > STREAM_LIMIT {
                stream.bytes.truncate(STREAM_LIMIT);
                stream.cut = true;
                break 'reading;
            }
            if count == 0 {
                open.retain(|&other| other != number);
            }
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    let [stdout, stderr] = streams;
    Ok((stdout, stderr))
}

/// Those of the `open` pipes that can be read without waiting; none when the deadline is over.
fn await_input(pipes: &[File], open: &[usize], deadline: Instant) -> Result<Vec<usize>> {
    let events = |&number: &usize| PollFd::new(pipes[number].as_fd(), PollFlags::POLLIN);
    let mut waiting: Vec<PollFd> = open.iter().map(events).collect();
    let left = deadline.saturating_duration_since(Instant::now());
    poll(&mut waiting, PollTimeout::try_from(left)?).context("wait for output")?;
    let ready = open.iter().zip(&waiting).filter(|(_, pipe)| pipe.any() == Some(true));
    Ok(ready.map(|(&number, _)| number).collect())
}

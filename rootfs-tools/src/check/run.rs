//! One run of one program in the tree, in a room of its own.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use statify_room::Root;
use statify_room::sandbox::{self, Course, ENVIRONMENT, Furniture, Sandbox};

use super::outcome::{End, Outcome, capture};

/// All processes of a program may have as much memory as one may have address space, but not more than this.
const MEMORY: u64 = 2 << 30;
/// For the kernel to end what has been stopped.
const GRACE: Duration = Duration::from_secs(20);

/// What a run may consume.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From start to end.
    pub time: Duration,
    /// Address space of each process, in bytes.
    pub memory: u64,
}

/// Runs the program `path`, a path inside of `root`, at which the file `image` is seen. `channels` are not
/// ([`sandbox::channels`]).
pub fn run(
    root: &Root,
    path: &Path,
    image: &Path,
    argument: &str,
    limits: Limits,
    channels: &[CString],
) -> statify_room::Result<Outcome> {
    let since = Instant::now();
    loop {
        match attempt(root, path, image, argument, limits, channels) {
            // Another program makes so many processes that there may be no more, for a while.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && since.elapsed() < GRACE => {
                std::thread::sleep(Duration::from_millis(100));
            }
            other => return other.map_err(sandbox::refused),
        }
    }
}

fn attempt(
    root: &Root,
    path: &Path,
    image: &Path,
    argument: &str,
    limits: Limits,
    channels: &[CString],
) -> io::Result<Outcome> {
    let room = Sandbox::of(root)?.ok_or_else(|| io::Error::other("no directory"))?;
    let consumption = sandbox::Limits::new(Some(limits.time), Some(limits.memory))?;
    let room = room
        .furnished(Furniture::new(Some(image), path)?)
        .without(channels.to_vec())
        .limited(consumption.of_memory(limits.memory.min(MEMORY)));
    let mut command = Command::new(path);
    command.arg(argument).env_clear().envs(ENVIRONMENT);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let teller = sandbox::run_inside(&mut command, room)?;
    let since = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => Running(child),
        Err(error)
            if error.kind() == io::ErrorKind::WouldBlock || teller.course() == Course::NoRoom =>
        {
            return Err(error);
        }
        Err(error) => return Ok(outcome(End::NotExecuted(reason(&error)))),
    };
    // The command has the other end of what it is to tell.
    drop(command);
    let pipes =
        (child.0.stdout.take().map(OwnedFd::from), child.0.stderr.take().map(OwnedFd::from));
    let (Some(stdout), Some(stderr)) = pipes else {
        return Err(io::Error::other("no pipes"));
    };
    let [stdout, stderr] = capture([stdout, stderr], since + limits.time + GRACE, false)?;
    // The pipes may be closed long before the end.
    child.wait_until(since + limits.time + GRACE)?;
    let end = match teller.course() {
        Course::Ended(status) => End::from(status),
        Course::Stopped => End::Stopped,
        // Process 1 was killed, or there was no memory left, or this is the end of all patience.
        Course::NoRoom | Course::Entered => End::Signal("SIGKILL".into()),
    };
    Ok(Outcome { end, stdout, stderr })
}

/// Without the number, which says no more.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn outcome(end: End) -> Outcome {
    Outcome { end, stdout: Default::default(), stderr: Default::default() }
}

/// A command with which everything inside ends, at the latest when this is dropped.
struct Running(Child);

impl Running {
    fn wait_until(&mut self, deadline: Instant) -> io::Result<()> {
        while self.0.try_wait()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

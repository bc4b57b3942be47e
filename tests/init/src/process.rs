//! Running a program under a time limit, with everything it says caught and nothing of it left running.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exit(i32),
    /// A signal killed it.
    Signal(Signal),
    /// It was killed when its time was up.
    TimedOut,
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(status) => write!(out, "exit status {status}"),
            End::Signal(signal) => write!(out, "{signal}"),
            End::TimedOut => write!(out, "time limit exceeded"),
        }
    }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match status.signal().map(Signal::try_from) {
            Some(Ok(signal)) => End::Signal(signal),
            // A real-time signal has no name; shells report it the same way.
            Some(Err(_)) => End::Exit(128 + status.signal().unwrap_or_default()),
            None => End::Exit(status.code().unwrap_or_default()),
        }
    }
}

/// What a program may use up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Wall time from start to end.
    pub time: Duration,
    /// Bytes kept of each of standard output and standard error; the rest is read and dropped.
    pub output: usize,
}

impl Limits {
    /// `seconds` of time and 4 MiB of output.
    pub const fn seconds(seconds: u64) -> Self {
        Limits { time: Duration::from_secs(seconds), output: 4 << 20 }
    }
}

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Wall time from start to end.
    pub time: Duration,
}

impl Outcome {
    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs `command` to its end with `stdin` as standard input.
pub fn run(command: &mut Command, stdin: &[u8], limits: Limits) -> io::Result<Outcome> {
    Running::start(command, stdin, limits)?.finish()
}

/// A program that runs in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    limits: Limits,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    ended: Receiver<()>,
    reaped: bool,
}

/// Starts a program that may have been written just now: a child of another thread holds what was
/// open in this process until it has become its program, and meanwhile the file is busy.
fn spawn(command: &mut Command) -> io::Result<Child> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let started = Instant::now();
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && started.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

impl Running {
    /// Starts `command`.
    pub fn start(command: &mut Command, stdin: &[u8], limits: Limits) -> io::Result<Self> {
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut child = {
            // Held over the start, so that `stop_with_the_runner` cannot miss the new group.
            let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
            let child = spawn(command)?;
            groups.insert(child.id());
            child
        };
        if let Some(mut pipe) = child.stdin.take() {
            let stdin = stdin.to_vec();
            // A program need not read its input: a broken pipe is its choice.
            thread::spawn(move || pipe.write_all(&stdin).unwrap_or_default());
        }
        let stdout = collect(child.stdout.take(), limits.output);
        let stderr = collect(child.stderr.take(), limits.output);
        let pid = pid_of(&child);
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            // WNOWAIT leaves a zombie, which keeps pid and group id from being given to others before the group is killed.
            let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let _ = sender.send(());
        });
        let started = Instant::now();
        Ok(Running { child, started, limits, stdout, stderr, ended, reaped: false })
    }

    /// The program's process id, which is its process group's, too.
    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Waits for the program's end (but not for its descendants'), no longer than the time limit. True if it ended.
    pub fn wait(&self) -> bool {
        let left = self.limits.time.saturating_sub(self.started.elapsed());
        !matches!(self.ended.recv_timeout(left), Err(mpsc::RecvTimeoutError::Timeout))
    }

    /// Waits for the end, kills what is left of the process group and returns what the program did.
    pub fn finish(mut self) -> io::Result<Outcome> {
        let in_time = self.wait();
        let time = self.started.elapsed();
        let end = End::from(self.reap()?);
        let drained = |pipe: &Receiver<Vec<u8>>| {
            pipe.recv_timeout(Duration::from_secs(5))
                .map_err(|_| io::Error::other("a process outside the group keeps the output open"))
        };
        Ok(Outcome {
            end: if in_time { end } else { End::TimedOut },
            stdout: drained(&self.stdout)?,
            stderr: drained(&self.stderr)?,
            time,
        })
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        let pid = self.pid();
        // The program may have left its group, so it is named as well.
        let _ = signal::killpg(pid, Signal::SIGKILL);
        let _ = signal::kill(pid, Signal::SIGKILL);
        let status = self.child.wait();
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.child.id());
        self.reaped = true;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.reap();
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn collect(pipe: Option<impl Read + Send + 'static>, limit: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(limit as u64).read_to_end(&mut kept);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(kept);
    });
    receiver
}

/// The process groups that run now.
static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Makes Ctrl-C and SIGTERM kill every program that runs, call `clean_up`, and end the test run.
pub fn stop_with_the_runner(clean_up: impl FnOnce() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(number) = signals.forever().next() {
            let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
            for &group in groups.iter() {
                let _ = signal::killpg(Pid::from_raw(group.cast_signed()), Signal::SIGKILL);
            }
            clean_up();
            std::process::exit(128 + number);
        }
    });
    Ok(())
}

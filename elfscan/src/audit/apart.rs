//! Each process is audited by a process of its own, with a limit of time and one of memory: what is
//! audited may have mappings without number, lists that lead nowhere, or pages that come from a file
//! system which never answers. Not even SIGKILL ends a read of those, so that nobody waits for it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};

use super::process::{Process, Refusal};
use super::report::ProcessReport;
use super::{Options, audit};

/// The argument by which this program is told to be such a process.
pub const APART: &str = "--apart";
/// How much memory the audit of one process may take for its own data, in bytes. (Mapped files do not count.)
const MEMORY: u64 = 2 << 30;
/// On a busy machine an audit may take longer by so many times the limit.
const MOST_WAITS: u32 = 2;
/// The longest answer, in bytes.
const ANSWER: usize = 256 << 20;
/// How long it may take to end.
const GRACE: Duration = Duration::from_millis(500);

/// Of what kind a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// There is no program (any more): a thread of the kernel, or it ended.
    Over,
    /// It may not be read, or is not supported.
    Impossible,
    /// It takes more than any real process does. A program may bring that about on purpose.
    Unbounded,
}

/// Why there is no report of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// In a sentence.
    pub reason: String,
    /// Its kind.
    pub kind: Kind,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Kernel(..)
            | Refusal::Zombie(..)
            | Refusal::Missing(_)
            | Refusal::Vanished(..) => Kind::Over,
            Refusal::TooLong(..)
            | Refusal::TooMany(..)
            | Refusal::TooLarge(..)
            | Refusal::Died(..) => Kind::Unbounded,
            _ => Kind::Impossible,
        };
        Self { reason: refusal.to_string(), kind }
    }
}

/// What such a process answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Report(Box<ProcessReport>),
    Refused(Refused),
}

/// Audits a process in a process of its own, which may take so long.
pub fn audit_apart(
    pid: u32,
    options: Options,
    limit: Duration,
) -> Result<Box<ProcessReport>, Refused> {
    // Whether there is a program, and whether it may be read, takes no memory of its.
    let name = Process::open(pid)?.name;
    let failed = |source| Refusal::Proc(pid, name.clone(), "a process to audit it", source);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("elfscan").args(["audit", APART]).arg(pid.to_string());
    command.arg(format!("--timeout={}", limit.as_secs()));
    if options.strict {
        command.arg("--strict");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let answer = match child.stdout.take() {
        Some(mut output) => {
            let id = child.id();
            read(&mut output, || started + limit + waited_for_a_cpu(id).min(MOST_WAITS * limit))
        }
        None => Ok(Vec::new()),
    };
    let too_long = || Refusal::TooLong(pid, name.clone(), limit.as_secs());
    let Ok(bytes) = answer else {
        let _ = child.kill();
        end(&mut child);
        return Err(too_long().into());
    };
    match serde_json::from_slice(&bytes) {
        Ok(Answer::Report(report)) => {
            end(&mut child);
            Ok(report)
        }
        Ok(Answer::Refused(refused)) => {
            end(&mut child);
            Err(refused)
        }
        Err(_) => {
            let status = end(&mut child);
            let signal = status.and_then(|status| status.signal());
            Err(Refused::from(match signal {
                Some(libc::SIGABRT | libc::SIGKILL) => {
                    Refusal::TooLarge(pid, name.clone(), MEMORY >> 20)
                }
                Some(libc::SIGXCPU) => too_long(),
                _ => {
                    let status = status.map_or("no end".to_owned(), |status| status.to_string());
                    Refusal::Died(pid, name.clone(), status)
                }
            }))
        }
    }
}

/// How long a process was ready to run and did not, because others did: that is not its doing
/// (Documentation/scheduler/sched-stats.rst).
fn waited_for_a_cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let waited = text.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

/// Reads up to the end, until `deadline`, which may move.
fn read(
    output: &mut (impl Read + AsFd),
    deadline: impl Fn() -> Instant,
) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let left = deadline().saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.len() > ANSWER {
            return Err(ErrorKind::TimedOut);
        }
        let left = PollTimeout::try_from(left + Duration::from_millis(1));
        let mut files = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut files, left.unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            _ => {}
        }
        match output.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(len) => bytes.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.kind()),
        }
    }
}

/// Waits for its end, but not for long: whoever inherits it does.
fn end(child: &mut Child) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if started.elapsed() < GRACE => thread::sleep(Duration::from_millis(1)),
            Ok(None) if started.elapsed() < 2 * GRACE => {
                let _ = child.kill();
                thread::sleep(Duration::from_millis(10));
            }
            _ => return None,
        }
    }
}

/// Audits a process in this one, under the limits, and writes the answer to `out`.
pub fn answer(
    pid: u32,
    options: Options,
    limit: Duration,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let bounds = [
        (Resource::Data, MEMORY),
        (Resource::Core, 0),
        (Resource::Cpu, limit.as_secs().saturating_add(1)),
    ];
    for (resource, most) in bounds {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let answer = match audit(pid, Options { within: Some(limit), ..options }) {
        Ok(report) => Answer::Report(Box::new(report)),
        Err(refusal) => Answer::Refused(refusal.into()),
    };
    serde_json::to_writer(&mut *out, &answer)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_never_writes_is_not_waited_for() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut reader = std::fs::File::from(std::os::fd::OwnedFd::from(reader));
        let started = Instant::now();
        let outcome = read(&mut reader, || started + Duration::from_millis(50));
        assert_eq!(outcome, Err(ErrorKind::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

//! What a run of a program leaves to compare.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of a stream that are kept; of what comes behind them only number and hash.
const KEPT: usize = 1 << 20;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Exit status of the program.
    Exit(i32),
    /// Name of the signal that killed the program.
    Signal(String),
    /// It still ran when it was stopped.
    Stopped,
    /// The kernel refused to execute the file.
    NotExecuted(String),
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match status.signal().map(|number| (number, Signal::try_from(number))) {
            None => Self::Exit(status.code().unwrap_or_default()),
            Some((_, Ok(signal))) => Self::Signal(signal.to_string()),
            // A real-time signal has no name.
            Some((number, Err(_))) => Self::Signal(format!("signal {number}")),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit {status}"),
            Self::Signal(name) => f.write_str(name),
            Self::Stopped => f.write_str("still running"),
            Self::NotExecuted(why) => write!(f, "not executed: {why}"),
        }
    }
}

/// What a program printed on one stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The beginning of what was written, as much as is kept.
    pub bytes: Vec<u8>,
    /// How many bytes came behind them.
    pub more: u64,
    /// The SHA-256 of these.
    rest: Sha256,
}

impl Stream {
    /// Adds what was read.
    pub fn add(&mut self, bytes: &[u8]) {
        let (kept, rest) = bytes.split_at(bytes.len().min(KEPT - self.bytes.len()));
        self.bytes.extend_from_slice(kept);
        self.more += rest.len() as u64;
        self.rest.update(rest);
    }

    /// Whether it was longer than what is kept.
    pub fn is_cut(&self) -> bool {
        self.more > 0
    }

    /// Whether what is not kept is the same.
    pub(crate) fn has_same_rest(&self, other: &Self) -> bool {
        self.more == other.more && self.rest.clone().finalize() == other.rest.clone().finalize()
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.has_same_rest(other)
    }
}

impl Eq for Stream {}

/// What one run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it printed on stdout.
    pub stdout: Stream,
    /// What it printed on stderr.
    pub stderr: Stream,
}

/// Reads both pipes to their ends, but not longer than until the `deadline`, nor more than is kept
/// if `until_cut`.
pub fn capture(pipes: [OwnedFd; 2], deadline: Instant, until_cut: bool) -> io::Result<[Stream; 2]> {
    let pipes = pipes.map(std::fs::File::from);
    let mut streams = [Stream::default(), Stream::default()];
    let mut open = vec![0, 1];
    let mut buffer = vec![0; 1 << 16];
    while !open.is_empty() && Instant::now() < deadline {
        let mut waiting: Vec<_> = open
            .iter()
            .map(|&n: &usize| PollFd::new(pipes[n].as_fd(), PollFlags::POLLIN))
            .collect();
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other?,
        };
        let ready: Vec<usize> = (open.iter().zip(&waiting))
            .filter(|(_, pipe)| pipe.any() == Some(true))
            .map(|(&number, _)| number)
            .collect();
        for number in ready {
            let len = (&pipes[number]).read(&mut buffer)?;
            streams[number].add(&buffer[..len]);
            if len == 0 {
                open.retain(|&other| other != number);
            }
        }
        if until_cut && streams.iter().any(Stream::is_cut) {
            break;
        }
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_counts() {
        let of = |parts: &[&[u8]]| {
            let mut stream = Stream::default();
            parts.iter().for_each(|part| stream.add(part));
            stream
        };
        let long = vec![b'x'; KEPT - 1];
        let stream = of(&[&long, b"abc"]);
        assert_eq!((stream.bytes.len(), stream.more), (KEPT, 2));
        assert_eq!(stream, of(&[&long, b"a", b"b", b"c"]));
        assert_ne!(stream, of(&[&long, b"abd"]));
        assert_ne!(stream, of(&[&long, b"ab"]));
        assert!(!of(&[b"abc"]).is_cut());
    }
}

//! A dialogue over a serial line: what the machine says is waited for, and answered.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use regex::bytes::{Captures, Regex};

use crate::{Error, Result};

/// The line of a machine, which ends with it.
pub struct Console {
    machine: Child,
    to: ChildStdin,
    from: Receiver<Vec<u8>>,
    /// All that was said.
    said: Vec<u8>,
    /// How much of it was waited for.
    seen: usize,
}

/// What was said when something was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Before it.
    pub before: Vec<u8>,
    /// The groups of the pattern.
    pub groups: Vec<Vec<u8>>,
}

impl Console {
    /// Of a machine whose line is its standard input and output, both of which are pipes. All that it
    /// says is written to `transcript`.
    pub fn of(mut machine: Child, transcript: File) -> Result<Self> {
        let no_pipe = || Error::Line(io::Error::other("it is no pipe"));
        let to = machine.stdin.take().ok_or_else(no_pipe)?;
        let from = machine.stdout.take().ok_or_else(no_pipe)?;
        Ok(Self { machine, to, from: read(from, transcript), said: Vec::new(), seen: 0 })
    }

    /// The number of the process that emulates the machine.
    pub fn pid(&self) -> u32 {
        self.machine.id()
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        let to = &mut self.to;
        let typed = to.write_all(line.as_bytes()).and_then(|()| to.write_all(b"\n"));
        typed.and_then(|()| to.flush()).map_err(Error::Line)
    }

    /// Waits until something is said.
    pub fn wait(&mut self, pattern: &Regex, time: Duration) -> Result<Said> {
        let until = Instant::now() + time;
        loop {
            if let Some(captures) = pattern.captures(&self.said[self.seen..]) {
                let whole = captures.get(0).map_or(0..0, |whole| whole.range());
                let before = self.said[self.seen..][..whole.start].to_vec();
                let groups = groups(&captures);
                self.seen += whole.end;
                return Ok(Said { before, groups });
            }
            match self.from.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.said.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::InVain { pattern: pattern.to_string(), tail: self.tail() });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Stopped { pattern: pattern.to_string(), tail: self.tail() });
                }
            }
        }
    }

    /// Waits for the machine's own end.
    pub fn wait_for_end(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while let Ok(bytes) =
            self.from.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            self.said.extend(bytes);
        }
        match self.machine.try_wait().map_err(Error::Line)? {
            None if Instant::now() >= until => Err(Error::GoesOn(self.tail())),
            _ => Ok(()),
        }
    }

    fn tail(&self) -> String {
        let tail = &self.said[self.said.len().saturating_sub(2000)..];
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}

fn groups(captures: &Captures<'_>) -> Vec<Vec<u8>> {
    captures
        .iter()
        .skip(1)
        .map(|group| group.map_or_else(Vec::new, |g| g.as_bytes().to_vec()))
        .collect()
}

fn read(mut from: ChildStdout, mut transcript: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            // For people; the dialogue does without.
            let _ = transcript.write_all(&buffer[..length]);
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn shell(script: &str) -> Console {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let transcript = tempfile::tempfile().expect("a file");
        Console::of(command.spawn().expect("a shell"), transcript).expect("pipes")
    }

    #[test]
    fn a_dialogue() {
        let mut console = shell("echo Linux; printf 'login: '; read -r name; echo \"<$name 7>\"");
        let time = Duration::from_secs(20);
        let login = Regex::new("login: ").expect("a pattern");
        assert_eq!(console.wait(&login, time).expect("it asks").before, b"Linux\n");
        console.type_line("root").expect("it reads");
        let end = Regex::new(r"<(\w+) (\d+)>").expect("a pattern");
        assert_eq!(
            console.wait(&end, time).expect("it answers").groups,
            [b"root".to_vec(), b"7".into()]
        );
        let error = console.wait(&login, time).expect_err("it ended");
        assert!(error.to_string().contains("stopped before"), "{error}");
    }

    #[test]
    fn nothing_is_waited_for_in_vain() {
        let mut console = shell("exec sleep 60");
        let pattern = Regex::new("login").expect("a pattern");
        let error = console.wait(&pattern, Duration::from_millis(50)).expect_err("silence");
        assert!(error.to_string().contains("in vain"), "{error}");
    }
}

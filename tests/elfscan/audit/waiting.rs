//! A process that waits to be audited, and what the audit says.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::elfscan::tool::json;

/// A program that says "done" and waits for the end of its input. Dropping it ends it.
pub struct Waiting {
    child: Child,
    lines: Vec<String>,
}

impl Waiting {
    /// Starts it, and reads what it says up to "done".
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut waiting = Self::spawn(command)?;
        let stdout: ChildStdout = waiting.child.stdout.take().context("no stdout")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if line == "done" {
                return Ok(waiting);
            }
            waiting.lines.push(line);
        }
        anyhow::bail!("{command:?} ended: {:?}", waiting.lines)
    }

    /// Starts a program that says nothing, and waits until it reads its input or sleeps.
    pub fn settled(command: &mut Command) -> Result<Self> {
        let mut waiting = Self::spawn(command)?;
        let started = Instant::now();
        let mut asleep = 0;
        while asleep < 10 {
            ensure!(waiting.child.try_wait()?.is_none(), "{command:?} ended");
            ensure!(started.elapsed() < Duration::from_secs(60), "{command:?} does not settle");
            thread::sleep(Duration::from_millis(20));
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", waiting.pid()))?;
            let is_asleep = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S"));
            asleep = if is_asleep { asleep + 1 } else { 0 };
        }
        Ok(waiting)
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A program just written may be held open for a moment by a child of another test.
        for _ in 0..100 {
            match command.spawn() {
                Ok(child) => return Ok(Self { child, lines: Vec::new() }),
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error).context(format!("{command:?}")),
            }
        }
        anyhow::bail!("{command:?} stays busy")
    }

    /// Its id.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What it said.
    pub fn said(&self) -> &[String] {
        &self.lines
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `elfscan audit --json` answers, and its exit status.
pub fn audit<A: AsRef<str>>(pids: &[A], flags: &[&str]) -> Result<(Value, i32)> {
    let arguments = ["audit", "--json"].into_iter().chain(flags.iter().copied());
    json(arguments.chain(pids.iter().map(AsRef::as_ref)))
}

/// The alarms of the first process.
pub fn alarms(report: &Value) -> Result<&Vec<Value>> {
    let process = report["processes"].get(0).with_context(|| format!("{report:#}"))?;
    process["alarms"].as_array().context("no alarms")
}

//! A server under test, which ends with what holds it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::client::Client;
use super::tool::command;

/// How long something is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub socket: PathBuf,
}

impl Server {
    /// Serves `label`, with more arguments, and waits until it listens.
    pub fn start(label: &str, store: &Path, socket: &Path, more: &[&OsStr]) -> Result<Self> {
        let words = [OsStr::new(label), "--nbd".as_ref(), &at(socket)];
        let mut command = command("serve", words.into_iter().chain(more.iter().copied()), store)?;
        Self::run(&mut command, socket)
    }

    /// The same of a command that serves there.
    pub fn run(command: &mut Command, socket: &Path) -> Result<Self> {
        let server = Self::spawn(command, socket)?;
        server.until(|| Client::connect(socket).is_ok(), "it does not listen")
    }

    /// Starts a command, and waits for nothing.
    pub fn spawn(command: &mut Command, socket: &Path) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Self { child, socket: socket.to_owned() })
    }

    /// Waits until that is so.
    pub fn until(mut self, is_so: impl Fn() -> bool, otherwise: &str) -> Result<Self> {
        let since = Instant::now();
        while !is_so() {
            ensure!(self.child.try_wait()?.is_none(), "the server has ended");
            ensure!(since.elapsed() < PATIENCE, "{otherwise}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(self)
    }

    /// Another client.
    pub fn client(&self) -> Result<Client> {
        Client::connect(&self.socket)
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Waits until it ends by itself; its exit status.
    pub fn wait(&mut self) -> Result<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.signal().is_none(), "{status}");
                return status.code().context("an exit status");
            }
            ensure!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to end, and waits; its exit status.
    pub fn end(&mut self, signal: Signal) -> Result<i32> {
        kill(self.pid(), signal)?;
        self.wait()
    }

    /// The most memory that it has had, in bytes.
    pub fn peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("VmHWM")?;
        Ok(kib.parse::<u64>()? << 10)
    }
}

/// SIGKILL, as a machine's end would.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket as an argument.
pub fn at(socket: &Path) -> OsString {
    let mut text = OsString::from("unix:");
    text.push(socket);
    text
}

//! A server under test, which ends with what holds it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::Client;
use super::tool::command;

/// A server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub socket: PathBuf,
}

impl Server {
    /// Serves `label`, with more arguments, and waits until it listens.
    pub fn start(label: &str, store: &Path, socket: &Path, more: &[&OsStr]) -> Result<Self> {
        let mut nbd = OsString::from("unix:");
        nbd.push(socket);
        let words = [OsStr::new(label), "--nbd".as_ref(), &nbd];
        let command = command("serve", words.into_iter().chain(more.iter().copied()), store)?;
        Self::start_by(command, socket)
    }

    /// Serves by this command, and waits until it listens at `socket`.
    pub fn start_by(mut command: Command, socket: &Path) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut server = Self { child, socket: socket.to_owned() };
        let since = Instant::now();
        while Client::connect(socket).is_err() {
            ensure!(server.child.try_wait()?.is_none(), "the server has ended");
            ensure!(since.elapsed() < Duration::from_secs(30), "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Another client.
    pub fn client(&self) -> Result<Client> {
        Client::connect(&self.socket)
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

/// SIGKILL, as a machine's end would.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

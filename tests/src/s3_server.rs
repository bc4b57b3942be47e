//! An S3 server for tests: moto's, by the Python that TEST_PYTHON names (`s3_server.py`).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::machine::test_python;

/// Its bucket.
pub const BUCKET: &str = "conversions";
/// Who may use it,
pub const KEY: &str = "AKIDTEST";
/// and how that is shown.
pub const SECRET: &str = "a-secret-that-nobody-sees";

/// A server; it ends with this, or with the tests.
pub struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Where it listens.
    pub endpoint: String,
}

impl Server {
    /// Starts one; with a certificate and its key it is encrypted.
    pub fn start(more: &[&Path]) -> Result<Self> {
        let python = test_python().context("no TEST_PYTHON")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/s3_server.py");
        let mut command = Command::new(python);
        command.args([script, KEY, SECRET, BUCKET]).args(more).env_clear();
        // Of its own accounts, not of this machine's.
        command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("TEST_PYTHON cannot be started")?;
        let orders = child.stdin.take().context("no standard input")?;
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut server = Self { child, orders, answers, endpoint: String::new() };
        let port: u16 = server.answer()?;
        let scheme = if more.is_empty() { "http" } else { "https" };
        server.endpoint = format!("{scheme}://127.0.0.1:{port}");
        Ok(server)
    }

    fn answer<T: std::str::FromStr>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let number = line.trim().parse().ok();
        number.with_context(|| format!("the S3 server of TEST_PYTHON says {line:?}"))
    }

    /// Has it do something; returns with how many objects.
    pub fn order(&mut self, order: &str) -> Result<usize> {
        writeln!(self.orders, "{order}")?;
        self.answer()
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A chunk store in an object store, which a server of the test has.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use statify_tests::process::{End, Outcome};
use statify_tests::s3_server::{BUCKET, KEY, SECRET};

use super::server::Server;
use super::tool;

/// Where it is, and what the environment says of it.
#[derive(Clone, Debug)]
pub struct Remote {
    place: String,
    variables: Vec<(&'static str, String)>,
}

impl Remote {
    /// One in the bucket of an S3 server that listens at `endpoint`.
    pub fn s3(endpoint: &str) -> Self {
        let variables = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ];
        let variables = variables.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self { place: format!("s3://{BUCKET}/fleet/one"), variables }
    }

    /// One on a web server.
    pub fn web(address: &str) -> Self {
        Self { place: address.into(), variables: Vec::new() }
    }

    /// What the environment says of it.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// As the command line has it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A command on it.
    pub fn run_by<A: AsRef<OsStr>>(
        &self,
        verb: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Command> {
        let mut command = tool::command(verb, arguments, Path::new(&self.place))?;
        command.envs(self.variables());
        Ok(command)
    }

    /// Runs it to its end; nothing secret may be said.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        verb: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Outcome> {
        let outcome = tool::finish(&mut self.run_by(verb, arguments)?)?;
        let said = outcome.stdout_text() + &outcome.stderr_text();
        for secret in [KEY, SECRET, "X-Amz", "Signature="] {
            ensure!(!said.contains(secret), "{secret:?} is said: {said}");
        }
        Ok(outcome)
    }

    /// Runs it; it must end well. Returns what it says.
    pub fn good<A: AsRef<OsStr>>(
        &self,
        verb: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        let outcome = self.run(verb, arguments)?;
        ensure!(outcome.end == End::Exit(0), "{verb}: {}: {}", outcome.end, outcome.stderr_text());
        Ok(outcome.stdout_text())
    }

    /// It must end with status 1, and say `words`.
    pub fn refused<A: AsRef<OsStr>>(
        &self,
        verb: &str,
        arguments: impl IntoIterator<Item = A>,
        words: &str,
    ) -> Result<()> {
        let outcome = self.run(verb, arguments)?;
        let said = outcome.stderr_text();
        ensure!(outcome.end == End::Exit(1), "{verb}: {} in place of 1: {said}", outcome.end);
        ensure!(said.contains(words), "{verb}: no {words:?} in: {said}");
        Ok(())
    }

    /// Cuts an image; returns what the report says.
    pub fn cut(&self, image: &Path, more: &[&str]) -> Result<serde_json::Value> {
        let arguments = [image.as_os_str(), OsStr::new("--json")].into_iter();
        let text = self.good("cut", arguments.chain(more.iter().map(OsStr::new)))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The image must come back as it was.
    pub fn comes_back(&self, image: &Path, label: &str, dir: &Path) -> Result<()> {
        let copy = dir.join("copy");
        self.good("cat", [OsStr::new(label), "-o".as_ref(), copy.as_os_str()])?;
        let same = std::fs::read(image)? == std::fs::read(&copy)?;
        std::fs::remove_file(copy)?;
        ensure!(same, "{label} came back as something else");
        Ok(())
    }

    /// A server of an image.
    pub fn serve(&self, label: &str, socket: &Path, more: &[&str]) -> Result<Server> {
        let nbd = format!("unix:{}", socket.display());
        let words = [label, "--nbd", &nbd].into_iter().chain(more.iter().copied());
        Server::run(&mut self.run_by("serve", words)?, socket)
    }
}

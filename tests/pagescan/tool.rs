//! The pagescan under test.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use pagescan::snapshot::{Snapshot, read_all};
use statify_tests::convert::SYSTEM_PATH;
use statify_tests::process::{self, End, Limits, Outcome};
use statify_tests::tool;

/// Time given to one run.
const LIMIT: Limits = Limits::seconds(120);

/// Where it is.
pub fn path() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf>> = OnceLock::new();
    let path = PATH.get_or_init(|| tool::locate("pagescan"));
    path.as_ref().cloned().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// A command that runs it with these arguments, in a clean environment.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Command> {
    let mut command = Command::new(path()?);
    command.args(arguments);
    command.env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
    Ok(command)
}

/// Runs it to its end.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Outcome> {
    finish(&mut command(arguments)?)
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Result<Outcome> {
    let outcome = process::run(command, b"", LIMIT)?;
    let said = outcome.stderr_text();
    ensure!(outcome.end != End::TimedOut, "it did not end: {said}");
    ensure!(!said.contains("panicked"), "it panicked: {said}");
    Ok(outcome)
}

/// Runs it; it must end well. Returns what it says.
pub fn good<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String> {
    let outcome = run(arguments)?;
    ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, outcome.stderr_text());
    Ok(outcome.stdout_text())
}

/// It must end with status 1, and say `words`.
pub fn refused<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, words: &str) -> Result<()> {
    let outcome = run(arguments)?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{} in place of 1: {said}", outcome.end);
    ensure!(said.contains(words), "no {words:?} in: {said}");
    Ok(())
}

/// Takes a snapshot of processes.
pub fn snapshot(pids: &[u32], to: &Path, more: &[&str]) -> Result<Snapshot> {
    let pids = pids.iter().map(u32::to_string);
    let mut arguments: Vec<String> = ["snapshot".into()].into_iter().chain(pids).collect();
    arguments.extend(["-o".into(), to.display().to_string()]);
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    good(arguments)?;
    read(to)
}

/// The one snapshot of a file.
pub fn read(path: &Path) -> Result<Snapshot> {
    let mut snapshots = read_all(File::open(path)?)?;
    ensure!(snapshots.len() == 1, "{} snapshots", snapshots.len());
    Ok(snapshots.remove(0))
}

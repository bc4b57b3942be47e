//! The rootfs-tools under test.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use statify_tests::convert::SYSTEM_PATH;
use statify_tests::process::{self, End, Limits, Outcome};
use statify_tests::tool;

/// Time given to one run.
pub const LIMIT: Limits = Limits::seconds(300);

/// Where it is.
pub fn path() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf>> = OnceLock::new();
    let path = PATH.get_or_init(|| tool::locate("rootfs-tools"));
    path.as_ref().cloned().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// A command that runs it with these arguments in a clean environment.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Command> {
    let mut command = Command::new(path()?);
    command.args(arguments).env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
    Ok(command)
}

/// Runs it to its end.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Outcome> {
    finish(&mut command(arguments)?)
}

/// The same of a command.
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

/// It must end with status 1 and one sentence, in which `words` stand.
pub fn refused(outcome: &Outcome, words: &str) -> Result<()> {
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{} in place of exit status 1: {said}", outcome.end);
    ensure!(said.starts_with("rootfs-tools: "), "{said:?}");
    ensure!(said.trim_end().lines().count() == 1, "more than a sentence: {said}");
    ensure!(said.contains(words), "no {words:?} in: {said}");
    Ok(())
}

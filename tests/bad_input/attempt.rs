//! One call of statify that is expected to fail, and what must hold afterwards whatever it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use statify_tests::case::Case;
use statify_tests::process::{End, Limits, Outcome, Running};
use statify_tests::processes;

/// What is known of a file without reading it: kind and permissions, size, time of the last change, inode.
type Traits = (u32, u64, Option<SystemTime>, u64);

/// A directory's files by path.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing(BTreeMap<PathBuf, Traits>);

impl Listing {
    /// Everything in `dir` and below.
    pub fn of(dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut left = vec![dir.to_owned()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
                let path = entry?.path();
                let metadata = path.symlink_metadata()?;
                if metadata.is_dir() {
                    left.push(path.clone());
                }
                let modified = metadata.modified().ok().filter(|_| metadata.is_file());
                files.insert(path, (metadata.mode(), metadata.size(), modified, metadata.ino()));
            }
        }
        Ok(Listing(files))
    }

    /// Fails unless the directory is as it was.
    pub fn must_equal(&self, before: &Listing) -> Result<()> {
        let differing = self.0.iter().filter(|(path, traits)| before.0.get(*path) != Some(traits));
        let gone = before.0.keys().filter(|path| !self.0.contains_key(*path));
        let paths: Vec<_> = differing.map(|(path, _)| path).chain(gone).collect();
        ensure!(paths.is_empty(), "files that are new, changed or gone: {paths:?}");
        Ok(())
    }
}

/// Starts `command` in the case's directory.
pub fn start(case: &Case, command: &mut Command, limits: Limits) -> Result<Running> {
    command.current_dir(&case.dir);
    Ok(Running::start(command, b"", limits)?)
}

/// Waits for the end of `running`, and fails if a process outlives it or it panicked.
pub fn finish(case: &Case, running: Running) -> Result<Outcome> {
    let ended = running.wait();
    let left = if ended { processes::left_behind(running.pid(), &case.dir) } else { Vec::new() };
    let outcome = running.finish()?;
    let message = outcome.stderr_text();
    ensure!(outcome.end != End::TimedOut, "statify did not end: {message}");
    ensure!(!message.contains("panicked"), "statify panicked: {message}");
    ensure!(left.is_empty(), "left running: {left:?}");
    Ok(outcome)
}

/// Runs `command`, which must be refused with exit status 1, one sentence and no trace. Returns the sentence.
pub fn refused(case: &Case, command: &mut Command) -> Result<String> {
    let before = Listing::of(&case.dir)?;
    let outcome = finish(case, start(case, command, Limits::seconds(30))?)?;
    Listing::of(&case.dir)?.must_equal(&before)?;
    sentence(&outcome)
}

/// The one sentence of a refusal.
pub fn sentence(outcome: &Outcome) -> Result<String> {
    let message = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{} in place of exit status 1: {message}", outcome.end);
    ensure!(
        message.starts_with("statify: "),
        "the message does not begin with the tool's name: {message:?}"
    );
    ensure!(message.trim_end().lines().count() == 1, "more than one line: {message:?}");
    ensure!(outcome.stdout.is_empty(), "something on standard output: {:?}", outcome.stdout_text());
    Ok(message.trim_end().to_owned())
}

/// The command `statify program -o out` with further arguments.
pub fn statify(case: &Case, program: &Path, arguments: &[&str]) -> Command {
    let mut command = case.statify.command([program]);
    command.arg("-o").arg(case.dir.join("out")).args(arguments);
    command
}

/// `program` must be refused with a message in which each of `patterns` matches, whatever the case of its letters.
pub fn refused_for(case: &Case, program: &Path, patterns: &[&str]) -> Result<()> {
    matches(&refused(case, &mut statify(case, program, &[]))?, patterns)
}

/// Fails unless every pattern matches somewhere in `message`.
pub fn matches(message: &str, patterns: &[&str]) -> Result<()> {
    for pattern in patterns {
        ensure!(
            Regex::new(&format!("(?i){pattern}"))?.is_match(message),
            "no `{pattern}` in: {message}"
        );
    }
    Ok(())
}

//! The elfscan under test.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use statify_tests::case::run;
use statify_tests::convert::SYSTEM_PATH;
use statify_tests::process::End;
use statify_tests::tool;

/// A command that runs elfscan with these arguments in a clean environment.
pub fn elfscan<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Command> {
    static PATH: OnceLock<Result<PathBuf>> = OnceLock::new();
    let path = PATH.get_or_init(|| tool::locate("elfscan"));
    let path = path.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
    Ok(command)
}

/// What it answers as JSON, and its exit status, which is 0 or 1.
pub fn json<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<(Value, i32)> {
    let outcome = run(&mut elfscan(arguments)?)?;
    let said = outcome.stderr_text();
    ensure!(matches!(outcome.end, End::Exit(0 | 1)), "{}: {said}", outcome.end);
    let status = if outcome.end == End::Exit(0) { 0 } else { 1 };
    let value = serde_json::from_str(&outcome.stdout_text()).with_context(|| said)?;
    Ok((value, status))
}

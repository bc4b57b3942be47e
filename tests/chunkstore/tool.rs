//! The chunkstore under test, and images to cut.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use statify_tests::convert::SYSTEM_PATH;
use statify_tests::process::{self, End, Limits, Outcome};
use statify_tests::tool;

/// Time given to one run.
const LIMIT: Limits = Limits::seconds(120);

/// Where it is.
pub fn path() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf>> = OnceLock::new();
    let path = PATH.get_or_init(|| tool::locate("chunkstore"));
    path.as_ref().cloned().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// A command that runs it with these arguments on a store, in a clean environment.
pub fn command<A: AsRef<OsStr>>(
    verb: &str,
    arguments: impl IntoIterator<Item = A>,
    store: &Path,
) -> Result<Command> {
    let mut command = Command::new(path()?);
    command.arg(verb).args(arguments).arg("--store").arg(store);
    command.env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
    Ok(command)
}

/// Runs it to its end.
pub fn run<A: AsRef<OsStr>>(
    verb: &str,
    arguments: impl IntoIterator<Item = A>,
    store: &Path,
) -> Result<Outcome> {
    finish(&mut command(verb, arguments, store)?)
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
pub fn good<A: AsRef<OsStr>>(
    verb: &str,
    arguments: impl IntoIterator<Item = A>,
    store: &Path,
) -> Result<String> {
    let outcome = run(verb, arguments, store)?;
    ensure!(outcome.end == End::Exit(0), "{verb}: {}: {}", outcome.end, outcome.stderr_text());
    Ok(outcome.stdout_text())
}

/// It must end with status 1, and say `words`.
pub fn refused<A: AsRef<OsStr>>(
    verb: &str,
    arguments: impl IntoIterator<Item = A>,
    store: &Path,
    words: &str,
) -> Result<()> {
    let outcome = run(verb, arguments, store)?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(1), "{verb}: {} in place of 1: {said}", outcome.end);
    ensure!(said.contains(words), "{verb}: no {words:?} in: {said}");
    Ok(())
}

/// Cuts an image; returns what the report says.
pub fn cut(image: &Path, store: &Path, more: &[&str]) -> Result<serde_json::Value> {
    let arguments = [image.as_os_str(), OsStr::new("--json")].into_iter();
    let text = good("cut", arguments.chain(more.iter().map(OsStr::new)), store)?;
    Ok(serde_json::from_str(&text)?)
}

/// Bytes without a pattern, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A new image of `len` bytes, which has these bytes at these offsets and zeros elsewhere.
pub fn image(path: &Path, len: u64, parts: &[(u64, &[u8])]) -> Result<PathBuf> {
    let file = File::create(path)?;
    file.set_len(len)?;
    for (at, bytes) in parts {
        file.write_all_at(bytes, *at)?;
    }
    Ok(path.to_owned())
}

/// The image must come back as it was.
pub fn comes_back(image: &Path, label: &str, store: &Path, dir: &Path) -> Result<()> {
    let copy = dir.join("copy");
    good("cat", [OsStr::new(label), "-o".as_ref(), copy.as_os_str()], store)?;
    let same = std::fs::read(image)? == std::fs::read(&copy)?;
    std::fs::remove_file(copy)?;
    ensure!(same, "{label} came back as something else");
    Ok(())
}

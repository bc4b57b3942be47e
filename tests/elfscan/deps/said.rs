//! What a loader and elfscan say of the same file.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::builder;
use statify_tests::case::{Case, run};
use statify_tests::process::{End, Outcome};

use crate::elfscan::tool::elfscan;

/// This machine's glibc loader.
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A list of what is loaded, a line each: `NAME => PATH`, `PATH` or `NAME => not found`.
pub type List = Vec<String>;

/// What a loader's list says, its addresses and the vDSO left out.
pub fn list_of(text: &str) -> List {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.filter(|line| *line != "statically linked" && !line.contains(": version `"));
    let lines = lines.map(|line| line.rsplit_once(" (0x").map_or(line, |(line, _)| line));
    lines.filter(|line| !line.starts_with("linux-")).map(String::from).collect()
}

/// What the loader lists for `file`; `Err` holds its words if it cannot.
pub fn loader_says(
    case: &Case,
    loader: &Path,
    flags: &[&str],
    file: &Path,
) -> Result<std::result::Result<List, String>> {
    let mut command = case.command(loader);
    command.args(flags).arg(file).env("LD_TRACE_LOADED_OBJECTS", "1");
    let outcome = run(&mut command)?;
    Ok(match outcome.end {
        End::Exit(0) => Ok(list_of(&outcome.stdout_text())),
        _ => Err(outcome.stderr_text() + &outcome.stdout_text()),
    })
}

/// Runs `elfscan deps --list`.
pub fn listing<A: AsRef<OsStr>>(case: &Case, flags: &[A], file: &Path) -> Result<Outcome> {
    let mut command = elfscan(["deps", "--list"])?;
    command.args(flags).arg(file).current_dir(&case.dir);
    run(&mut command)
}

/// What elfscan lists; it must not fail otherwise than for something that is missing.
pub fn elfscan_says<A: AsRef<OsStr>>(case: &Case, flags: &[A], file: &Path) -> Result<List> {
    let outcome = listing(case, flags, file)?;
    let fine = matches!(outcome.end, End::Exit(0 | 1)) && outcome.stderr.is_empty();
    ensure!(fine, "{}: {}: {}", file.display(), outcome.end, outcome.stderr_text());
    Ok(outcome.stdout_text().lines().map(String::from).collect())
}

/// Both must list the same in the same order, which is returned.
pub fn agree(case: &Case, file: &Path, loader_flags: &[&str], own_flags: &[&str]) -> Result<List> {
    agree_with(case, Path::new(LOADER), file, loader_flags, own_flags)
}

/// The same with any loader of glibc's.
pub fn agree_with(
    case: &Case,
    loader: &Path,
    file: &Path,
    loader_flags: &[&str],
    own_flags: &[&str],
) -> Result<List> {
    let theirs = loader_says(case, loader, loader_flags, file)?;
    let theirs = theirs.map_err(|words| anyhow::anyhow!("the loader itself: {words}"))?;
    let own = elfscan_says(case, own_flags, file)?;
    ensure!(own == theirs, "elfscan: {own:#?}\nthe loader: {theirs:#?}");
    Ok(own)
}

/// Builds a program from C text.
pub fn program(case: &Case, name: &str, text: &str, flags: &[&str]) -> Result<PathBuf> {
    let output = case.dir.join(name);
    let source = case.dir.join(format!("{}.c", name.replace('/', "_")));
    fs::write(&source, text)?;
    let own = case.toolchain.flags(&case.dir)?;
    let flags = flags.iter().copied().chain(own.iter().map(String::as_str));
    let compiler = case.toolchain.compiler(false)?;
    builder::compile_by(compiler, &[source], &output, flags)?;
    Ok(output)
}

/// Builds a library with one function of the name `function` in a subdirectory of the case's.
pub fn library(case: &Case, path: &str, function: &str, flags: &[&str]) -> Result<PathBuf> {
    if let Some(directory) = case.dir.join(path).parent() {
        fs::create_dir_all(directory)?;
    }
    case.library(path, &format!("int {function}(void) {{ return 1; }}"), flags)
}

/// A line of a list.
pub fn line(name: &str, path: impl AsRef<Path>) -> String {
    format!("{name} => {}", path.as_ref().display())
}

/// What is printed by a command that must end well.
pub fn printed(command: &mut Command) -> Result<String> {
    let outcome = run(command)?;
    let program = command.get_program();
    ensure!(outcome.end == End::Exit(0), "{program:?}: {}", outcome.stderr_text());
    String::from_utf8(outcome.stdout).context("it printed no text")
}

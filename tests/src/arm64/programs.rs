//! Programs of this repository, built for AArch64: by the Rust that `AARCH64_RUSTC` names, which has its standard library for
//! that machine, linked by `AARCH64_CC`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::compiler::for_aarch64;
use crate::process::{self, End, Limits};
use crate::tool::{OF_A_PACKAGE, executable};

const TARGET: &str = "aarch64-unknown-linux-gnu";
/// Of a whole build, on a busy machine.
const PATIENCE: u64 = 1800;

/// The compiler, if it is named and can build for AArch64.
pub fn rustc() -> Option<OsString> {
    let rustc = env::var_os("AARCH64_RUSTC")?;
    let mut command = Command::new(&rustc);
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let output = command.output().ok()?;
    let directory = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    // It names the directory whether or not it is there.
    directory.is_dir().then_some(rustc)
}

/// Puts commands, each of a package, all fixtures and the programs of the suites that the guest has into the directory `files`,
/// from which a guest has them in /files. Returns the beginning of a script that puts the sources where the commands look for
/// them.
pub fn gather(commands: &[(&str, &str)], files: &Path) -> Result<String> {
    std::fs::create_dir(files)?;
    for (package, name) in commands {
        std::fs::copy(build(package, name)?, files.join(name))?;
    }
    let repository = repository()?;
    let mut command = Command::new("cp");
    command
        .arg("-r")
        .args(["fixtures", "tests/privileges", "tests/plugins"].map(|dir| repository.join(dir)));
    command.arg(files);
    let outcome = process::run(&mut command, b"", Limits::seconds(60))?;
    ensure!(outcome.end == End::Exit(0), "cp: {}", outcome.stderr_text());
    // Where the commands have their path from when they were built.
    let there = shell_words::quote(&repository.to_string_lossy()).into_owned();
    Ok(format!(
        "mkdir -p {there}/tests && cp -r /files/fixtures {there} && cp -r /files/privileges /files/plugins {there}/tests && "
    ))
}

fn repository() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no repository")
}

/// The command `name` of `package`.
pub fn build(package: &str, name: &str) -> Result<PathBuf> {
    cargo(&["build", "--package", package, "--bin", name], name)
}

/// The tests within the library `name` of `package`, as a program.
pub fn build_tests(package: &str, name: &str) -> Result<PathBuf> {
    cargo(&["test", "--no-run", "--package", package, "--lib"], name)
}

/// The executable of this name that cargo makes with these arguments.
fn cargo(arguments: &[&str], name: &str) -> Result<PathBuf> {
    let rustc = rustc().context("AARCH64_RUSTC does not name a Rust for AArch64")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let repository = repository()?;
    let mut command = Command::new(cargo);
    command.args(arguments).args(["--quiet", "--message-format=json", "--target", TARGET]);
    // Nothing is shared with what another Rust has built.
    command.arg("--target-dir").arg(repository.join("target/arm64")).current_dir(repository);
    let of_package = |name: &str| OF_A_PACKAGE.iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    command.env("RUSTC", rustc).env("CARGO_INCREMENTAL", "0");
    for linker in ["CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "CC_aarch64_unknown_linux_gnu"]
    {
        command.env(linker, for_aarch64());
    }
    let mut limits = Limits::seconds(PATIENCE);
    // A line for each crate.
    limits.output = 16 << 20;
    let outcome = process::run(&mut command, b"", limits).context("starting cargo")?;
    ensure!(
        outcome.end == End::Exit(0),
        "cargo could not build {name} for AArch64: {}\n{}",
        outcome.end,
        outcome.stderr_text()
    );
    executable(&outcome.stdout, name)
        .with_context(|| format!("cargo named no executable for {name}"))
}

//! What a guest for AArch64 gets of this repository: commands that are built for it, fixtures, programs of the suites.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::cross::{AARCH64, repository};
use crate::process::{self, End, Limits};

/// Puts commands, each of a package, all fixtures and the programs of the suites that the guest has into the directory `files`,
/// from which a guest has them in /files. Returns the beginning of a script that puts the sources where the commands look for
/// them.
pub fn gather(commands: &[(&str, &str)], files: &Path) -> Result<String> {
    std::fs::create_dir(files)?;
    for (package, name) in commands {
        std::fs::copy(AARCH64.build(package, name)?, files.join(name))?;
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

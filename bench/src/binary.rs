//! Programs: those of this workspace, built for release, and those of the machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The release binary `name` of a package of this workspace: what the variable of its name in capitals says, or built by cargo.
pub fn of_workspace(package: &str, name: &str) -> Result<PathBuf> {
    let variable = name.to_uppercase().replace('-', "_");
    if let Some(path) = std::env::var_os(&variable) {
        return std::path::absolute(path).context(variable);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "-p", package, "--bin", name, "--message-format=json"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "{name} does not build");
    let messages =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let executables = messages.filter_map(|message| {
        let message = message.ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    executables.last().with_context(|| {
        format!("cargo names no executable; set {variable} to what is to be measured")
    })
}

/// Whether a program can be found by its name.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

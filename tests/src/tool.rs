//! The commands of the workspace, found or built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What the names of variables begin with by which cargo tells a program its package.
pub(crate) const OF_A_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// A test that is there already.
const BUILT: &str = "architecture";

/// `$STATIFY`, `$ELFSCAN` and so on if it is set; otherwise what cargo builds, in the profile of this
/// test run.
pub fn locate(name: &str) -> Result<PathBuf> {
    let variable = name.to_uppercase().replace('-', "_");
    match env::var_os(&variable) {
        Some(path) => PathBuf::from(path).canonicalize().context(variable),
        None => build(name),
    }
}

fn build(name: &str) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // With the features that the workspace is tested with, those of its tests' dependencies among them, which cargo counts
    // where a test is built, too: with others nearly everything would be built once more.
    command.args(["build", "--quiet", "--workspace", "--bin", name, "--test", BUILT]);
    command.arg("--message-format=json");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    // cargo tells a test its package in the environment: build scripts that look there (ring's) would be run once more,
    // and all that depends on them built again.
    let of_package = |name: &str| OF_A_PACKAGE.iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("starting cargo")?;
    if !output.status.success() {
        bail!("cargo could not build {name}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    executable(&output.stdout, name)
        .with_context(|| format!("cargo named no executable for {name}"))
}

/// The executable that cargo's messages name.
pub(crate) fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executable_among_cargos_messages() {
        let messages =
            br#"{"reason":"compiler-artifact","target":{"name":"statify"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"starter"},"executable":"/t/starter"}
{"reason":"compiler-artifact","target":{"name":"statify"},"executable":"/t/statify"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "statify"), Some("/t/statify".into()));
        assert_eq!(executable(b"", "statify"), None);
    }
}

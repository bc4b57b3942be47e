//! The tools, built by cargo, and what they write of themselves.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The tools, and how each is asked for all of its man pages and completions.
const TOOLS: [(&str, &[&str]); 5] = [
    ("statify", &["--generate-into"]),
    ("elfscan", &["generate", "--into"]),
    ("rootfs-tools", &["generate", "--into"]),
    ("chunkstore", &["generate", "--into"]),
    ("pagescan", &["generate", "--into"]),
];

/// What the names of variables begin with by which cargo tells a program its package.
const OF_A_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// The executables of all tools, built with a profile of cargo's.
pub fn tools(profile: &str) -> Result<Vec<PathBuf>> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // With the features of the whole workspace, as it is tested: so nothing is built twice.
    command.args([
        "build",
        "--profile",
        profile,
        "--workspace",
        "--message-format=json-render-diagnostics",
    ]);
    command.args(TOOLS.iter().flat_map(|(name, _)| ["--bin", name]));
    // Where this is run by cargo, its package is in the environment: build scripts that look there (ring's) would be run
    // once more, and all that depends on them built again.
    let of_package = |name: &str| OF_A_PACKAGE.iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    let output = command.current_dir(crate::top()).stderr(Stdio::inherit()).output();
    let output = output.context("cargo cannot be run")?;
    ensure!(output.status.success(), "cargo build: {}", output.status);
    let find = |name| {
        let found = executable(&output.stdout, name);
        found.with_context(|| format!("cargo named no executable for {name}"))
    };
    TOOLS.iter().map(|(name, _)| find(name)).collect()
}

/// The executable that cargo's messages name.
fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Has a tool write its man pages and completions below `prefix`.
pub fn write_texts(tool: &Path, prefix: &Path) -> Result<()> {
    let name = tool.file_stem().unwrap_or_default();
    let words = TOOLS.iter().find(|(tool, _)| name == *tool).map(|(_, words)| *words);
    let status = Command::new(tool).args(words.unwrap_or_default()).arg(prefix).status();
    let status = status.with_context(|| format!("{} cannot be run", tool.display()))?;
    ensure!(status.success(), "{}, writing its man pages: {status}", tool.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executable_among_cargos_messages() {
        let messages = br#"{"target":{"name":"statify"},"executable":null}
not json
{"target":{"name":"starter"},"executable":"/t/starter"}
{"target":{"name":"statify"},"executable":"/t/statify"}"#;
        assert_eq!(executable(messages, "statify"), Some("/t/statify".into()));
        assert_eq!(executable(b"", "statify"), None);
    }
}

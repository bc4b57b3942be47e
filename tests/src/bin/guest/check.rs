//! `rootfs-tools check`: every converted program is sound, and says what its original says.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::room::Room;

/// What came out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Checked {
    /// Nothing is wrong.
    pub holds: bool,
    /// As rootfs-tools says it.
    pub report: Value,
}

/// Checks the converted tree.
pub fn check(room: &Room, tool: &Path) -> Result<Checked> {
    let mut command = Command::new(tool);
    command.arg("check").arg(room.converted()).arg("--json");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("starting rootfs-tools")?;
    // 1 is an answer.
    ensure!(matches!(output.status.code(), Some(0 | 1)), "rootfs-tools check: {}", output.status);
    let report = serde_json::from_slice(&output.stdout).context("the answer is no JSON")?;
    Ok(Checked { holds: output.status.success(), report })
}

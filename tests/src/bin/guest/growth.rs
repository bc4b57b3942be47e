//! `rootfs-tools report`, and what the tables take from it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::room::{Room, output};

/// The whole report, as rootfs-tools gives it.
pub fn report(room: &Room, tool: &Path) -> Result<Value> {
    let mut command = Command::new(tool);
    command.arg("report").arg(room.converted()).args(["--json", "--chunks"]);
    command.arg("--compare-static").arg(room.statics());
    serde_json::from_slice(&output(&mut command)?).context("the report is no JSON")
}

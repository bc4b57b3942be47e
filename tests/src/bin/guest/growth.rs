//! `rootfs-tools report`, and what the tables take from it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::convert;
use crate::room::{Room, output};

/// The whole report, as rootfs-tools gives it.
pub fn report(room: &Room, tool: &Path) -> Result<Value> {
    let mut command = Command::new(tool);
    command.arg("report").arg(room.converted()).args(["--json", "--chunks"]);
    command.arg("--compare-static").arg(room.statics());
    serde_json::from_slice(&output(&mut command)?).context("the report is no JSON")
}

/// Where modules begin in the tree whose chunks are compared besides: at multiples of this, in bytes.
pub const ALIGNED: u64 = 256 << 10;

/// What `rootfs-tools report` says of chunks if the modules are so aligned.
pub fn aligned(room: &Room, tool: &Path) -> Result<Value> {
    let out = room.pending("aligned")?;
    let mut command = Command::new(tool);
    command.arg("convert").arg(room.root()).arg("--out").arg(&out);
    command.arg(format!("--align={ALIGNED}"));
    convert::run(&mut command, &room.results().join("convert-aligned.log"))?;
    let mut command = Command::new(tool);
    command.arg("report").arg(&out).args(["--json", "--chunks"]);
    let mut report: Value = serde_json::from_slice(&output(&mut command)?)?;
    room.remove(&out)?;
    Ok(report["chunks"].take())
}

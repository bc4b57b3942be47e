//! The same in the guest for AArch64: this command and statify, built for it, run there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use statify_tests::arm64::{Guest, programs};
use statify_tests::cross::AARCH64;

use crate::check::Checked;
use crate::{How, NAMESPACES};

/// Longer than all fixtures and programs take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Checks them there, or says why it cannot be done here.
pub fn check(how: &How, scratch: &Path) -> Result<Result<Checked, String>> {
    let Some(mut guest) = Guest::locate() else {
        return Ok(Err("TEST_ARM64 does not name a directory that .ci/arm64 made".into()));
    };
    if AARCH64.rustc().is_none() {
        return Ok(Err("AARCH64_RUSTC does not name a Rust for AArch64".into()));
    }
    guest.time = PATIENCE;
    let files = scratch.join("files");
    let commands = [("statify-convert", "statify"), ("statify-tests", "c-libraries")];
    let prepare = programs::gather(&commands, &files)?;
    let (namespaces, how) = (shell_words::join(NAMESPACES), shell_words::join(how.arguments()));
    let script = format!(
        "{prepare}mkdir /tmp/scratch && cd / && unshare {namespaces} -- \
         /files/c-libraries check / /tmp/scratch /files/statify {how} >/out/checked.json"
    );
    let (out, machine) = (scratch.join("out"), scratch.join("machine"));
    fs::create_dir(&machine)?;
    let answer = guest.run(&script, &files, &out, &machine)?;
    ensure!(answer.status == 0, "exit status {} in the guest: {}", answer.status, answer.stderr);
    let results = fs::read(out.join("checked.json"))?;
    Ok(Ok(serde_json::from_slice(&results).context("the guest's results")?))
}

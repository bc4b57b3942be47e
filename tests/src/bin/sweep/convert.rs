//! Conversion of one program with the `statify` command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use statify_tests::convert::{LIMIT, SYSTEM_PATH};
use statify_tests::process::{self, End};

use crate::programs::Program;

/// What `statify` made of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// The output is there.
    Done,
    /// Refused by design: set-user-ID, set-group-ID, file capabilities.
    Refused(String),
    /// Anything else.
    Failed(String),
}

/// Converts `program` into `out`.
pub fn convert(statify: &Path, program: &Program, out: &Path) -> Result<Conversion> {
    let mut command = Command::new(statify);
    command
        .args(["-q".as_ref(), program.file.as_os_str(), "-o".as_ref(), out.as_os_str()])
        .env_clear()
        .env("PATH", SYSTEM_PATH);
    let outcome = process::run(&mut command, b"", LIMIT)
        .with_context(|| format!("run {}", statify.display()))?;
    let message = outcome.stderr_text().trim().to_owned();
    if outcome.end == End::Exit(0) {
        if !out.exists() {
            return Ok(Conversion::Failed("exit status 0, but there is no output".into()));
        }
        open_to_all(out)?;
        return Ok(Conversion::Done);
    }
    let names_bit = ["set-user-ID", "set-group-ID"].iter().any(|bit| message.contains(bit));
    let refused = program.privileged && names_bit || message.contains("it has file capabilities");
    if outcome.end == End::Exit(1) && refused {
        return Ok(Conversion::Refused(message));
    }
    Ok(Conversion::Failed(format!("{}: {message}", outcome.end)))
}

/// Copies the original, so that both runs see a file of the same place, owner and permissions.
pub fn copy(program: &Program, out: &Path) -> Result<()> {
    fs::copy(&program.file, out).with_context(|| format!("copy {}", program.file.display()))?;
    open_to_all(out)
}

/// Some programs are for root only; the sandbox's user shall run them all the same.
fn open_to_all(file: &Path) -> Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

//! The system, and the clone in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What README.md asks for, but Rust, and what git needs for other places than this machine's.
const PACKAGES: &str = "gcc,libc6-dev,python3,git,ca-certificates";

/// Debian's release where this machine runs another system.
const DEFAULT_SUITE: &str = "bookworm";

/// The tree of a system in `dir`, made unless it is there.
pub fn make(dir: &Path) -> Result<PathBuf> {
    let tree = dir.join("system");
    if tree.is_dir() {
        return Ok(tree);
    }
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    // Renamed when it is complete.
    let pending = tempfile::Builder::new().prefix("system-").tempdir_in(dir)?;
    let root = pending.path().join("root");
    eprintln!("making {}", tree.display());
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase"]).arg(format!("--include={PACKAGES}"));
    // minbase has none.
    command.arg("--customize-hook=echo 127.0.0.1 localhost > \"$1/etc/hosts\"");
    command.arg("--customize-hook=chroot \"$1\" useradd --uid 1000 --create-home user");
    // An old snapshot of a mirror, or an old machine's clock, does.
    command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    command.arg(suite()).arg(&root).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().context("mmdebstrap cannot be run; install it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "mmdebstrap: {}\n{said}", output.status);
    fs::rename(&root, &tree)?;
    Ok(tree)
}

/// This machine's release of Debian.
fn suite() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |name: &str| release.lines().find_map(|line| line.strip_prefix(name));
    match (value("ID="), value("VERSION_CODENAME=")) {
        (Some("debian"), Some(name)) if !name.is_empty() => name.to_owned(),
        _ => DEFAULT_SUITE.to_owned(),
    }
}

/// A fresh clone of what is committed in `repository`.
pub fn clone(repository: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("removing {}", to.display()))?;
    }
    let mut command = Command::new("git");
    // Whoever owns it: nothing in it is run by the clone.
    command.args(["clone", "--quiet", "--depth=1"]);
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory");
    command.env("GIT_CONFIG_VALUE_0", "*");
    command.arg(format!("file://{}", repository.display())).arg(to);
    let status = command.status().context("git cannot be run")?;
    ensure!(status.success(), "git clone: {status}");
    Ok(())
}

/// Makes the user with this id the owner of a directory and all that is in it.
pub fn give(dir: &Path, id: u32) -> Result<()> {
    let mut command = Command::new("chown");
    let status = command.args(["-R", &format!("{id}:{id}"), "--"]).arg(dir).status()?;
    ensure!(status.success(), "chown: {status}");
    Ok(())
}

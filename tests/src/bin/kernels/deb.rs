//! One file out of a Debian package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Puts the file of `package` that matches `pattern`, as tar(1) has it, into the new directory `dir`, under its own name.
pub fn unpack(package: &Path, pattern: &str, dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let mut contents = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("starting dpkg-deb")?;
    let from = contents.stdout.take().context("dpkg-deb says nothing")?;
    let status = Command::new("tar")
        .arg("-C")
        .arg(dir)
        .args(["-x", "--transform=s,.*/,,", "--wildcards", pattern])
        .stdin(from)
        .status()
        .context("starting tar")?;
    let complete = contents.wait()?.success() && status.success();
    ensure!(complete, "{} holds no {pattern}", package.display());
    Ok(fs::read_dir(dir)?.next().context("tar wrote nothing")??.path())
}

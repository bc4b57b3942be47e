//! Starter and agent for i386, made anew: images in the repository, since compilers for the host come without a `core` for it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Has the package's build script make them with the compiler `rustc`, which has a `core` for i686-unknown-linux-gnu, and
/// puts them into `starter/blob`, with the compiler's release. With `check` they are held against what is there.
pub fn make(rustc: &Path, check: bool) -> Result<()> {
    let built =
        built(rustc.canonicalize().with_context(|| rustc.display().to_string())?.as_os_str())?;
    let blob = crate::top().join("starter/blob");
    // What is built, and what it is called in the repository.
    const FILES: [(&str, &str); 4] = [
        ("starter-i386.bin", "i386.bin"),
        ("starter-i386.source", "i386.source"),
        ("agent-i386.bin", "agent-i386.bin"),
        ("agent-i386.source", "agent-i386.source"),
    ];
    for (name, called) in FILES {
        let made = fs::read(built.join(name)).context("reading what was built")?;
        let place = blob.join(called);
        if check {
            let same = fs::read(&place).is_ok_and(|there| there == made);
            ensure!(same, "{} is not what this compiler makes of the source", place.display());
        } else {
            fs::create_dir_all(&blob)?;
            fs::write(&place, made).with_context(|| place.display().to_string())?;
        }
    }
    if !check {
        fs::write(blob.join("compiler"), release(rustc)?)?;
    }
    Ok(())
}

/// The compiler's release, a line of what it says of itself (`rustc -vV`).
fn release(rustc: &Path) -> Result<String> {
    let output =
        Command::new(rustc).arg("-vV").output().context("the compiler cannot be started")?;
    let said = String::from_utf8(output.stdout).context("the compiler's words are no text")?;
    let line = said.lines().find(|line| line.starts_with("release: "));
    Ok(format!("{}\n", line.context("the compiler does not name its release")?))
}

/// The directory that the build script has written to.
fn built(rustc: &OsStr) -> Result<PathBuf> {
    const PACKAGE: &str = "statify-starter";
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", PACKAGE, "--message-format=json-render-diagnostics"])
        .current_dir(crate::top())
        .env("STARTER_I386_RUSTC", rustc)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    ensure!(output.status.success(), "cargo build: {}", output.status);
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut directory = messages.filter_map(|message| {
        let is_its = message["reason"] == "build-script-executed"
            && message["package_id"].as_str()?.contains("/starter#");
        is_its.then(|| message["out_dir"].as_str().map(PathBuf::from))?
    });
    directory.next_back().context("cargo does not say where it has built the starter")
}

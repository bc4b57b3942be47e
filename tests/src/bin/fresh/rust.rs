//! This machine's Rust, and its crates.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What the system gets of this machine.
#[derive(Debug)]
pub struct Rust {
    /// The directory of the toolchain.
    pub toolchain: PathBuf,
    /// cargo's directory of crates, all that `Cargo.lock` names among them.
    pub registry: PathBuf,
}

impl Rust {
    /// Finds them, and fetches what is missing.
    pub fn of_this_machine(workspace: &Path) -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut fetch = Command::new(cargo);
        let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
        fetch.args(["fetch", "--quiet", "--locked", "--target", &target, "--manifest-path"]);
        let status = fetch.arg(workspace.join("Cargo.toml")).status().context("no cargo")?;
        ensure!(status.success(), "cargo fetch: {status}");
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let output = rustc.args(["--print", "sysroot"]).output().context("no rustc")?;
        ensure!(output.status.success(), "rustc --print sysroot: {}", output.status);
        let toolchain = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        let has_cargo = toolchain.join("bin/cargo").is_file();
        ensure!(has_cargo, "there is no cargo in {}", toolchain.display());
        let home = match env::var_os("CARGO_HOME") {
            Some(home) => PathBuf::from(home),
            None => Path::new(&env::var_os("HOME").context("no HOME")?).join(".cargo"),
        };
        Ok(Self { toolchain, registry: home.join("registry") })
    }
}

//! Programs of this repository, built for other machines by a Rust that has their standard libraries.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::compiler::for_aarch64;
use crate::process::{self, End, Limits};
use crate::tool::{OF_A_PACKAGE, executable};

/// Of a whole build, on a busy machine.
const PATIENCE: u64 = 1800;

/// A machine that is built for.
#[derive(Debug)]
pub struct Cross {
    /// As Rust calls it.
    target: &'static str,
    /// The variable that names the compiler.
    rustc: &'static str,
    /// The directory for what is built, below cargo's: nothing is shared with what another Rust has built.
    directory: &'static str,
    /// The C compiler, which links; Rust's choice if `None`.
    cc: Option<fn() -> OsString>,
}

/// Debian: `libstd-rust-dev:arm64`, linked by `AARCH64_CC`.
pub const AARCH64: Cross = Cross {
    target: "aarch64-unknown-linux-gnu",
    rustc: "AARCH64_RUSTC",
    directory: "target/arm64",
    cc: Some(for_aarch64),
};

/// Debian: `libstd-rust-dev:i386`, linked by this machine's compiler with `-m32`.
pub const I386: Cross = Cross {
    target: "i686-unknown-linux-gnu",
    rustc: "TEST_RUSTC_32",
    directory: "target/i386",
    cc: None,
};

impl Cross {
    /// The compiler, if it is named and has the machine's standard library.
    pub fn rustc(&self) -> Option<OsString> {
        let rustc = env::var_os(self.rustc)?;
        let mut command = Command::new(&rustc);
        command.args(["--print", "target-libdir", "--target", self.target]);
        let output = command.output().ok()?;
        // It names the directory whether or not it is there.
        let files = fs::read_dir(String::from_utf8(output.stdout).ok()?.trim()).ok()?;
        let mut names = files.flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with("libstd-")).then_some(rustc)
    }

    /// The command `name` of `package`.
    pub fn build(&self, package: &str, name: &str) -> Result<PathBuf> {
        self.cargo(&["build", "--package", package, "--bin", name], name)
    }

    /// The tests within the library `name` of `package`, as a program.
    pub fn build_tests(&self, package: &str, name: &str) -> Result<PathBuf> {
        self.cargo(&["test", "--no-run", "--package", package, "--lib"], name)
    }

    /// The executable of this name that cargo makes with these arguments.
    fn cargo(&self, arguments: &[&str], name: &str) -> Result<PathBuf> {
        let target = self.target;
        let rustc = self.rustc().with_context(|| {
            format!("{} does not name a Rust with a standard library for {target}", self.rustc)
        })?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let repository = repository()?;
        let mut command = Command::new(cargo);
        command.args(arguments).args(["--quiet", "--message-format=json", "--target", target]);
        command.arg("--target-dir").arg(repository.join(self.directory)).current_dir(repository);
        let of_package = |name: &str| OF_A_PACKAGE.iter().any(|start| name.starts_with(start));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
            command.env_remove(name);
        }
        command.env("RUSTC", rustc).env("CARGO_INCREMENTAL", "0");
        if let Some(cc) = self.cc {
            let of_target = target.replace('-', "_");
            let linker = format!("CARGO_TARGET_{}_LINKER", of_target.to_uppercase());
            command.env(linker, cc()).env(format!("CC_{of_target}"), cc());
        }
        let mut limits = Limits::seconds(PATIENCE);
        // A line for each crate.
        limits.output = 16 << 20;
        let outcome = process::run(&mut command, b"", limits).context("starting cargo")?;
        ensure!(
            outcome.end == End::Exit(0),
            "cargo could not build {name} for {target}: {}\n{}",
            outcome.end,
            outcome.stderr_text()
        );
        executable(&outcome.stdout, name)
            .with_context(|| format!("cargo named no executable for {name}"))
    }
}

/// The repository's top.
pub(crate) fn repository() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no repository")
}

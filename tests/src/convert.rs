//! The statify under test.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::guest;
use crate::process::{self, End, Limits, Outcome};
use crate::tool;

/// Time given to one conversion.
pub const LIMIT: Limits = Limits::seconds(60);

/// Where statify's binary is.
#[derive(Debug, Clone)]
pub struct Statify {
    path: PathBuf,
}

impl Statify {
    /// `$STATIFY` if it is set; otherwise what cargo builds, in the profile of this test run.
    pub fn locate() -> Result<Self> {
        Ok(Statify { path: tool::locate("statify")? })
    }

    /// This binary.
    pub fn at(path: PathBuf) -> Self {
        Statify { path }
    }

    /// The same binary in `dir`, where other users can reach it and no rebuild replaces it.
    pub fn copied_to(&self, dir: &Path) -> Result<Self> {
        let path = dir.join("statify");
        fs::copy(&self.path, &path).with_context(|| format!("copying {}", self.path.display()))?;
        Ok(Statify { path })
    }

    /// What the tests of a whole run use: a copy in `dir`; none if they are only listed.
    pub fn for_run(only_listed: bool, dir: &Path) -> Result<Option<Self>> {
        if only_listed { Ok(None) } else { Self::locate()?.copied_to(dir).map(Some) }
    }

    /// The binary.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs statify with these arguments in a clean environment.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).env_clear().env("PATH", SYSTEM_PATH).env("LANG", "C.UTF-8");
        command
    }

    /// Runs statify on `program` with `flags`.
    pub fn run<A: AsRef<OsStr>>(&self, program: &Path, out: &Path, flags: &[A]) -> Result<Outcome> {
        let mut command = self.command(flags);
        if let Some(root) = guest::root() {
            command.arg("--root").arg(root);
        }
        command.arg(program).arg("-o").arg(out);
        Ok(process::run(&mut command, b"", LIMIT)?)
    }

    /// Converts `program`, which must succeed without a word.
    pub fn convert<A: AsRef<OsStr>>(&self, program: &Path, out: &Path, flags: &[A]) -> Result<()> {
        let outcome = self.run(program, out, flags)?;
        ensure!(
            outcome.end == End::Exit(0),
            "statify {}: {}: {}",
            program.display(),
            outcome.end,
            outcome.stderr_text()
        );
        ensure!(out.is_file(), "statify ended well and wrote no {}", out.display());
        Ok(())
    }
}

/// The PATH that everything under test runs with.
pub const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

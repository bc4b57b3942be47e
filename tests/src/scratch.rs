//! The temporary directory of one test run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, setrlimit};

use crate::process;

/// A directory that goes away with the test run, however that ends.
#[derive(Debug)]
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Creates the directory, and prepares this process for running programs that crash and that are interrupted.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("statify-tests-").tempdir()?;
        // Some cases run as another user.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        // A fixture that must die of a signal leaves no core.
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        let path = dir.path().to_owned();
        process::stop_with_the_runner(move || {
            let _ = fs::remove_dir_all(path);
        })?;
        Ok(Scratch(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Creates a directory in it named for the test `name`.
    pub fn dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path().join(name.replace('/', "."));
        fs::create_dir(&dir).with_context(|| format!("creating {}", dir.display()))?;
        Ok(dir)
    }
}

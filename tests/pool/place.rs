//! Where a pool can be: a directory that only root can write to, as all that lead to it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use statify_tests::case::{Case, output};
use tempfile::TempDir;

/// Directories on the way to which nobody else can write, usually.
const ROOTS: &str = "/var/lib";
const WORKS: &str = "it works";

/// A directory of root's that goes away with this.
pub struct Place {
    directory: TempDir,
}

impl Place {
    /// A new one, which everybody can enter.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("statify-test-").tempdir_in(ROOTS)?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        Ok(Self { directory })
    }

    /// Itself.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The pool in it.
    pub fn pool(&self) -> PathBuf {
        self.path().join("pool")
    }
}

/// Builds and converts the small program, with this pool; where both are.
pub fn convert(case: &Case, pool: &Path, options: &[&str]) -> Result<PathBuf> {
    let program = case.build("maps", "maps", &["-O1"])?;
    let pool = pool.to_str().context("a path that is no text")?;
    case.convert(&program, &[&["--pool", pool], options].concat())
}

/// The files of a pool; ascending.
pub fn files(pool: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(pool)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// What the program has mapped of files in this directory: lines of /proc/PID/maps. It must work.
pub fn mapped(command: &mut Command, directory: &Path) -> Result<Vec<String>> {
    let said = output(command)?;
    ensure!(said.ends_with(&format!("{WORKS}\n")), "{said}");
    let directory = format!("{}/", directory.display());
    Ok(said.lines().filter(|line| line.contains(&directory)).map(str::to_owned).collect())
}

/// Fails unless the program maps libraries from there.
pub fn expect_used(command: &mut Command, pool: &Path) -> Result<()> {
    match mapped(command, pool)?.iter().any(|line| line.contains("r-xp")) {
        true => Ok(()),
        false => bail!("it has no code mapped from the pool"),
    }
}

/// Fails if it maps anything from there.
pub fn expect_unused(command: &mut Command, pool: &Path) -> Result<()> {
    let mapped = mapped(command, pool)?;
    ensure!(mapped.is_empty(), "it has mapped {mapped:#?}");
    Ok(())
}

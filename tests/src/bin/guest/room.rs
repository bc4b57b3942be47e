//! Where everything of a run lies, and what was done before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The directory of a run.
pub struct Room {
    dir: PathBuf,
}

impl Room {
    /// Makes it unless it is there.
    pub fn open(dir: &Path) -> Result<Self> {
        let results = dir.join("results");
        fs::create_dir_all(&results).with_context(|| format!("making {}", results.display()))?;
        Ok(Self { dir: dir.canonicalize()? })
    }

    /// The tree as Debian made it.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Programs of the same names, linked statically.
    pub fn statics(&self) -> PathBuf {
        self.dir.join("static")
    }

    /// The tree in which every program is converted.
    pub fn converted(&self) -> PathBuf {
        self.dir.join("converted")
    }

    /// Conversions for later runs.
    pub fn cache(&self) -> PathBuf {
        self.dir.join("cache")
    }

    /// File systems in files.
    pub fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    /// What stays.
    pub fn results(&self) -> PathBuf {
        self.dir.join("results")
    }

    /// For what is not complete yet; empty.
    pub fn pending(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{name}.pending"));
        self.remove(&path)?;
        Ok(path)
    }

    /// Removes a tree of this run, which need not be there.
    pub fn remove(&self, path: &Path) -> Result<()> {
        debug_assert!(path.starts_with(&self.dir));
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// What a stage found out, from its file if it was done before.
    pub fn once<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let file = self.results().join(name).with_extension("json");
        if let Ok(bytes) = fs::read(&file) {
            return serde_json::from_slice(&bytes).with_context(|| {
                format!("{} is of another version of this program; remove it", file.display())
            });
        }
        eprintln!("guest: {name}");
        let started = Instant::now();
        let value = work().with_context(|| name.to_owned())?;
        eprintln!("guest: {name}: {:.1} s", started.elapsed().as_secs_f64());
        let pending = file.with_extension("pending");
        fs::write(&pending, serde_json::to_string_pretty(&value)? + "\n")?;
        fs::rename(&pending, &file)?;
        Ok(value)
    }

    /// Removes all but the results.
    pub fn clear(&self) -> Result<()> {
        for path in [self.root(), self.statics(), self.converted(), self.cache(), self.images()] {
            self.remove(&path)?;
        }
        Ok(())
    }
}

/// Runs a command to its end: what it says on standard output. An error if it fails.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

//! A root directory with a converted program and data in it, and no shared object.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::Case;
use statify_tests::sandbox;

/// The root.
pub struct EmptyRoot {
    path: PathBuf,
}

impl EmptyRoot {
    /// One with nothing but `converted`, which is called `program` there.
    pub fn new(case: &Case, converted: &Path) -> Result<Self> {
        let path = case.dir.join("root");
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        fs::copy(converted, path.join("program"))?;
        Ok(Self { path })
    }

    /// Adds a file or a directory of the machine at its own path. In the place of each ELF file there is an empty one:
    /// programs that list a directory to find their modules see the names.
    pub fn add(&self, data: &Path) -> Result<()> {
        let to = self.path.join(data.strip_prefix("/")?);
        fs::create_dir_all(to.parent().context("a path without a parent")?)?;
        if data.is_dir() {
            fs::create_dir_all(&to)?;
            for entry in fs::read_dir(data)? {
                self.add(&entry?.path())?;
            }
        } else if data.is_file() {
            let bytes = fs::read(data).with_context(|| data.display().to_string())?;
            let is_elf = bytes.starts_with(b"\x7fELF");
            fs::write(to, if is_elf { &[] } else { &bytes[..] })?;
        }
        Ok(())
    }

    /// A command that runs the program there.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        ensure!(no_shared_object(&self.path)?, "a shared object got into the root");
        let mut command = sandbox::in_root(&self.path, "program");
        command.args(arguments).env("LANG", "C");
        Ok(command)
    }
}

/// Whether nothing but the program is ELF.
fn no_shared_object(directory: &Path) -> Result<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if !no_shared_object(&path)? {
                return Ok(false);
            }
        } else if entry.file_name() != "program" && fs::read(&path)?.starts_with(b"\x7fELF") {
            return Ok(false);
        }
    }
    Ok(true)
}

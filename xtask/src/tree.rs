//! A tree of files that is to be installed or packed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Whoever installs may have a umask by which nobody else could read what is installed.
const PROGRAM: u32 = 0o755;
const FILE: u32 = 0o644;
const DIRECTORY: u32 = 0o755;

/// A directory that goes away with this, and what is in it.
pub struct Tree(TempDir);

impl Tree {
    /// An empty one.
    pub fn new() -> Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("statify-tree-").tempdir()?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Adds a program.
    pub fn add_program(&self, from: &Path, to: &Path) -> Result<()> {
        self.add(from, to, PROGRAM)
    }

    /// Adds a file that is no program.
    pub fn add_file(&self, from: &Path, to: &Path) -> Result<()> {
        self.add(from, to, FILE)
    }

    /// Adds a file that is made of a text.
    pub fn add_text(&self, text: impl AsRef<[u8]>, to: &Path) -> Result<()> {
        let to = self.place(to)?;
        fs::write(&to, text).with_context(|| to.display().to_string())
    }

    fn add(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        let to = self.place(to)?;
        copy(from, &to, mode)
    }

    fn place(&self, to: &Path) -> Result<PathBuf> {
        let to = self.path().join(to);
        fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
        Ok(to)
    }

    /// Its files, by their paths in it, in an order that is the same every time.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        files(self.path())
    }

    /// Copies every file to the same place below `to`, readable by everybody. Returns the new files' paths.
    pub fn copy_to(&self, to: &Path) -> Result<Vec<PathBuf>> {
        let mut copied = Vec::new();
        for name in self.files()? {
            let (from, to) = (self.path().join(&name), to.join(&name));
            create_directories(to.parent().context("a file is in a directory")?)?;
            copy(&from, &to, mode_of(&from)?)?;
            copied.push(to);
        }
        Ok(copied)
    }
}

/// All files below a directory, by their paths in it.
pub fn files(top: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut left = vec![top.to_owned()];
    while let Some(directory) = left.pop() {
        let entries = fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            match path.is_dir() {
                true => left.push(path),
                false => files.push(path.strip_prefix(top)?.to_owned()),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// A program is what its owner may execute.
fn mode_of(path: &Path) -> Result<u32> {
    let is_program = path.metadata()?.permissions().mode() & 0o100 != 0;
    Ok(if is_program { PROGRAM } else { FILE })
}

/// Makes a directory and those above it, where they are not there.
fn create_directories(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_directories(parent)?;
    }
    fs::create_dir(path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY))?)
}

/// Puts a new file in the place of what may be there: a program that is running cannot be written to.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let directory = to.parent().context("a file is in a directory")?;
    let written = || -> Result<()> {
        let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
        std::io::copy(&mut fs::File::open(from)?, &mut new)?;
        new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        new.persist(to)?;
        Ok(())
    };
    written().with_context(|| format!("{} cannot be written", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_for_everybody_and_replace_what_is_there() {
        let tree = Tree::new().unwrap();
        tree.add_text("new", Path::new("share/doc/text")).unwrap();
        tree.add_program(Path::new("/proc/self/exe"), Path::new("bin/tool")).unwrap();
        let there = tempfile::tempdir().unwrap();
        fs::create_dir(there.path().join("bin")).unwrap();
        fs::write(there.path().join("bin/tool"), "old").unwrap();
        let copied = tree.copy_to(there.path()).unwrap();
        let expected = ["bin/tool", "share/doc/text"].map(|name| there.path().join(name));
        assert_eq!(copied, expected);
        let mode = |name: &str| {
            let metadata = there.path().join(name).metadata().unwrap();
            metadata.permissions().mode() & 0o7777
        };
        assert_eq!((mode("bin/tool"), mode("share/doc/text")), (PROGRAM, FILE));
        assert_eq!(mode("share/doc"), DIRECTORY);
        assert!(there.path().join("bin/tool").metadata().unwrap().len() > 3);
        assert_eq!(files(there.path()).unwrap().len(), 2);
    }
}

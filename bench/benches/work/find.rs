//! Programs of the machine that can be converted: scripts that choose one of several are none.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A program by its name in `PATH`; else the name.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    in_any(std::env::split_paths(&path), name)
}

/// A program by its name in one of `directories`; else the name.
pub fn in_any(directories: impl Iterator<Item = PathBuf>, name: &str) -> Result<PathBuf, String> {
    let mut paths = directories.map(|directory| directory.join(name));
    paths.find(|path| is_elf(path)).ok_or_else(|| name.to_owned())
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

//! Which programs are swept: every dynamic x86-64 executable of `/usr/bin` and `/usr/sbin`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use goblin::elf64::header::{EM_X86_64, Header, SIZEOF_EHDR};
use goblin::elf64::program_header::{PT_INTERP, ProgramHeader, SIZEOF_PHDR};

/// Where programs are looked for.
pub const DIRECTORIES: &[&str] = &["/usr/bin", "/usr/sbin"];

/// One program under the first of its names.
#[derive(Debug, Clone)]
pub struct Program {
    /// The name it is called by.
    pub path: PathBuf,
    /// The file behind it.
    pub file: PathBuf,
    /// It has a set-user-ID or set-group-ID bit.
    pub privileged: bool,
}

impl Program {
    /// The last part of its path.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// All dynamic x86-64 executables, each inode once, in the order of their paths.
///
/// A plain name is preferred over a symbolic link to the same file.
pub fn find() -> Result<Vec<Program>> {
    let mut by_inode: BTreeMap<(u64, u64), Program> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    let mut paths = Vec::new();
    for directory in DIRECTORIES {
        let entries = fs::read_dir(directory).with_context(|| format!("list {directory}"))?;
        for entry in entries {
            let path = entry?.path();
            paths.push((path.is_symlink(), path));
        }
    }
    paths.sort();
    for (_, path) in paths {
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let inode = (metadata.dev(), metadata.ino());
        if !metadata.is_file() || metadata.mode() & 0o111 == 0 || seen.insert(inode, ()).is_some() {
            continue;
        }
        if is_dynamic(&path).with_context(|| format!("read {}", path.display()))? {
            let file = fs::canonicalize(&path)?;
            let privileged = metadata.mode() & 0o6000 != 0;
            by_inode.insert(inode, Program { path, file, privileged });
        }
    }
    let mut programs: Vec<_> = by_inode.into_values().collect();
    programs.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(programs)
}

/// An x86-64 ELF file with a PT_INTERP program header (gABI, chapters 4 and 5).
fn is_dynamic(path: &Path) -> Result<bool> {
    let mut file = File::open(path)?;
    let mut start = [0; SIZEOF_EHDR];
    if file.read_exact(&mut start).is_err() || !start.starts_with(b"\x7fELF\x02\x01") {
        return Ok(false);
    }
    let header = Header::from_bytes(&start);
    if header.e_machine != EM_X86_64 || usize::from(header.e_phentsize) != SIZEOF_PHDR {
        return Ok(false);
    }
    let count = usize::from(header.e_phnum);
    let mut table = vec![0; count * SIZEOF_PHDR];
    if file.read_exact_at(&mut table, header.e_phoff).is_err() {
        return Ok(false);
    }
    Ok(ProgramHeader::from_bytes(&table, count).iter().any(|header| header.p_type == PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_found_and_scripts_are_not() -> Result<()> {
        assert!(is_dynamic(Path::new("/bin/sh"))?);
        assert!(!is_dynamic(Path::new("/etc/passwd"))?);
        Ok(())
    }
}

//! A program, by what its file and its loader's say of themselves: read only, whether it can be converted
//! or not.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use statify_elf::c_library::glibc;
use statify_elf::{ElfFile, Excerpt};
use statify_room::Root;

/// What is known of a program before it is converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The size of its file, in bytes.
    pub size: u64,
    /// What its headers say; nothing if it is no ELF file.
    pub elf: Option<ElfFacts>,
}

/// What the headers of an ELF file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfFacts {
    /// ET_*, EM_* and 32 or 64.
    pub kind: (u16, u16, u8),
    /// The linker's build-id.
    pub build_id: Option<String>,
    /// The loader that it asks for, and the line by which that tells its version, if it is glibc's.
    pub interpreter: Option<(PathBuf, Option<String>)>,
    /// The libraries that it names.
    pub needed: Vec<String>,
}

impl Facts {
    /// Reads them.
    pub fn read(root: &Root, path: &Path) -> io::Result<Self> {
        let (file, size) = open(root, path)?;
        let mut excerpt = Excerpt::new();
        let bytes = excerpt.read(&file, size)?;
        let elf = ElfFile::parse_any(bytes).ok().map(|elf| ElfFacts::of(root, &elf));
        Ok(Self { size, elf })
    }
}

impl ElfFacts {
    fn of(root: &Root, elf: &ElfFile<'_>) -> Self {
        let interpreter = elf.interpreter().ok().flatten();
        let interpreter = interpreter.map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let header = elf.header();
        let bits = if elf.is_64() { 64 } else { 32 };
        let needed = elf.dynamic().ok().flatten().map(|facts| facts.needed()).unwrap_or_default();
        Self {
            kind: (header.e_type, header.e_machine, bits),
            build_id: elf
                .build_id()
                .map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect()),
            interpreter: interpreter.map(|path| {
                let banner = banner(root, &path);
                (path, banner.ok().flatten())
            }),
            needed: needed.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
        }
    }
}

fn banner(root: &Root, loader: &Path) -> io::Result<Option<String>> {
    let (file, size) = open(root, loader)?;
    let mut excerpt = Excerpt::new();
    let bytes = excerpt.read_whole(&file, size)?;
    Ok(glibc::banner(bytes).map(str::to_owned))
}

/// A regular file: opening others might wait, or do something.
fn open(root: &Root, path: &Path) -> io::Result<(File, u64)> {
    let found = root.find(path)?;
    if !found.link().metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(found.link())?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_and_what_is_none() {
        let root = Root::machine();
        let facts = Facts::read(&root, Path::new("/proc/self/exe")).unwrap();
        let elf = facts.elf.expect("it is an ELF file");
        assert!(elf.interpreter.is_some() && facts.size > 0);
        assert!(elf.needed.iter().any(|name| name.starts_with("libc.")), "{elf:?}");
        assert_eq!(Facts::read(&root, Path::new("/proc/self/status")).unwrap().elf, None);
        for path in ["/", "/dev/null", "/nonexistent"] {
            assert!(Facts::read(&root, Path::new(path)).is_err(), "{path}");
        }
    }
}

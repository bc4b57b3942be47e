//! The program to convert: found, opened, and refused if it is none.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use goblin::elf::header::{ET_DYN, ET_EXEC};
use statify_elf::c_library::CLibrary;
use statify_elf::machine::Machine;
use statify_elf::{ElfError, ElfFile, Excerpt, holes};
use statify_format::manifest;
use statify_room::root::{self, Root};

use crate::{Privileges, Refusal, Result, Unclaimed};

/// A program that can be converted.
#[derive(Debug)]
pub struct Program {
    /// Its absolute path, symbolic links as given.
    pub path: PathBuf,
    /// Its loader's path.
    pub interpreter: PathBuf,
    /// The C library that the loader belongs to.
    pub c_library: CLibrary,
    /// The machine that it is for.
    pub machine: Machine,
    /// Its permission bits, without set-user-ID and the like.
    pub mode: u32,
    /// What it may do that whoever runs it may not.
    pub privileges: Option<Privileges>,
    /// `st_dev` and `st_ino`.
    pub id: (u64, u64),
    /// `st_uid`.
    pub owner: u32,
    /// What none of its headers accounts for.
    pub unclaimed: Unclaimed,
}

impl Program {
    /// Refuses what a converted copy would lose, unless it is to be given to it.
    pub fn check_privileges(&self, preserve: bool) -> Result<()> {
        match &self.privileges {
            Some(privileges) if !preserve => {
                Err(Refusal::Privileged(self.path.clone(), Box::new(privileges.clone())))
            }
            _ => Ok(()),
        }
    }
}

/// Finds a program as a shell does: through `search_path` if its name has no slash. In another root
/// than this machine's that is a default ([`root::SEARCH_PATH`]).
pub fn find(root: &Root, name: &Path, search_path: Option<&OsStr>) -> Result<PathBuf> {
    if name.as_os_str().as_bytes().contains(&b'/') {
        return Ok(name.to_owned());
    }
    let elsewhere = root.directory().map(|_| OsStr::new(root::SEARCH_PATH));
    let directories = elsewhere.or(search_path).map(std::env::split_paths).into_iter().flatten();
    let mut candidates = directories.map(|directory| directory.join(name));
    let executable = |path: &PathBuf| {
        let metadata = root.find(path).and_then(|found| found.link().metadata());
        metadata.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let found = candidates.find(executable);
    found.ok_or_else(|| Refusal::NotInPath(name.to_owned()).in_root(root))
}

/// A file that is open, and what describes it.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// Its path in the root, as given.
    pub path: &'a Path,
    /// A path by which the kernel finds it ([`root::Found::link`]).
    pub link: &'a Path,
    /// Itself.
    pub file: &'a File,
    /// Of a regular file.
    pub metadata: &'a Metadata,
    /// Its bytes, at least those of its [`Excerpt`].
    pub bytes: &'a [u8],
}

/// Decides whether files can be converted, as far as that shows in them and their loaders. Nothing
/// is run. Loaders are remembered, so that many files can be examined.
#[derive(Debug, Default)]
pub struct Examiner {
    root: Root,
    loaders: Mutex<HashMap<PathBuf, Loader>>,
}

/// What a path leads to that stands in a PT_INTERP.
#[derive(Clone, Debug)]
enum Loader {
    Known(CLibrary),
    Unknown,
    /// An error that has a number.
    Failed(i32),
    Bad(String),
}

/// Opens and examines it.
pub fn open(root: &Root, path: &Path) -> Result<Program> {
    let unreadable = |source| Refusal::Program(path.to_owned(), source);
    let found = root.find(path).map_err(unreadable)?;
    check_kind(path, &found.link().metadata().map_err(unreadable)?)?;
    let file = File::open(found.link()).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mut excerpt = Excerpt::new();
    let bytes = excerpt.read(&file, metadata.len()).map_err(unreadable)?;
    let link = found.link();
    let opened = Opened { path, link, file: &file, metadata: &metadata, bytes };
    Examiner::new(root.clone()).examine(&opened)
}

/// Refuses what is no regular file; such need not be opened.
pub fn check_kind(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
    Err(Refusal::NotAFile(path.to_owned(), kind))
}

impl Examiner {
    /// Of files in this root.
    pub fn new(root: Root) -> Self {
        Self { root, loaders: Mutex::default() }
    }

    /// Examines a file.
    pub fn examine(&self, opened: &Opened<'_>) -> Result<Program> {
        let &Opened { path, link, file, metadata, bytes } = opened;
        let unreadable = |source| Refusal::Program(path.to_owned(), source);
        if let Some(line) = bytes.strip_prefix(b"#!") {
            let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let interpreter =
                String::from_utf8_lossy(&line[..line.len().min(256)]).trim().to_owned();
            return Err(Refusal::Script(path.to_owned(), interpreter));
        }
        let damaged = |source| Refusal::Elf(path.to_owned(), source);
        let elf = match ElfFile::parse(bytes) {
            Err(error @ (ElfError::NotHere(_) | ElfError::Machine(..))) => {
                return Err(elsewhere(path, bytes, error));
            }
            elf => elf.map_err(damaged)?,
        };
        check_type(path, &elf)?;
        if elf.note(manifest::NOTE_NAME, manifest::NOTE_TYPE).is_some() {
            return Err(Refusal::Converted(path.to_owned()));
        }
        let Some(interpreter) = elf.interpreter().map_err(damaged)? else {
            return Err(Refusal::Static(path.to_owned()));
        };
        holes::check(file).map_err(unreadable)?;
        let mode = metadata.permissions().mode();
        let privileges = Privileges::of(file, metadata).map_err(unreadable)?;
        if nix::unistd::access(link, nix::unistd::AccessFlags::X_OK).is_err() {
            return Err(Refusal::NotPermitted(path.to_owned()));
        }
        let interpreter = PathBuf::from(OsStr::from_bytes(interpreter));
        let c_library = self.check_interpreter(path, &interpreter)?;
        let machine = elf.known_machine().map_err(damaged)?;
        let absolute = self.root.absolute(path).map_err(unreadable)?;
        if let Some(library) = auditor(&elf, c_library) {
            return Err(Refusal::Audited(path.to_owned(), library));
        }
        if elf.has_writable_code() {
            return Err(Refusal::WritableCode(absolute.clone(), absolute));
        }
        let unclaimed = Unclaimed::of(&elf, file, metadata.len()).map_err(unreadable)?;
        unclaimed.check(&absolute)?;
        let id = (metadata.dev(), metadata.ino());
        let mode = mode & 0o777;
        let owner = metadata.uid();
        Ok(Program {
            path: absolute,
            interpreter,
            c_library,
            machine,
            mode,
            privileges,
            id,
            owner,
            unclaimed,
        })
    }

    fn check_interpreter(&self, program: &Path, interpreter: &Path) -> Result<CLibrary> {
        let known = self.loaders().get(interpreter).cloned();
        let loader = known.unwrap_or_else(|| {
            let loader = Loader::read(&self.root, interpreter);
            self.loaders().insert(interpreter.to_owned(), loader.clone());
            loader
        });
        let missing =
            |source| Err(Refusal::Interpreter(program.to_owned(), interpreter.to_owned(), source));
        match loader {
            Loader::Known(c_library) => Ok(c_library),
            Loader::Unknown => Err(Refusal::Loader(program.to_owned(), interpreter.to_owned())),
            Loader::Failed(number) => missing(io::Error::from_raw_os_error(number)),
            Loader::Bad(what) => missing(io::Error::other(what)),
        }
    }

    fn loaders(&self) -> MutexGuard<'_, HashMap<PathBuf, Loader>> {
        self.loaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_type(path: &Path, elf: &ElfFile<'_>) -> Result<()> {
    match elf.header().e_type {
        ET_EXEC | ET_DYN => Ok(()),
        other => Err(Refusal::NotExecutable(path.to_owned(), other)),
    }
}

/// What is said of a file for a machine whose programs are not converted here: whether there would be anything to
/// convert is the same everywhere.
fn elsewhere(path: &Path, bytes: &[u8], error: ElfError) -> Refusal {
    let refusal = Refusal::Elf(path.to_owned(), error);
    let Ok(elf) = ElfFile::parse_any(bytes) else { return refusal };
    if let Err(no_program) = check_type(path, &elf) {
        return no_program;
    }
    match elf.interpreter() {
        Ok(None) => Refusal::Static(path.to_owned()),
        _ => refusal,
    }
}

/// The libraries by which a program wants to be audited. musl's loader knows nothing of that.
fn auditor(elf: &ElfFile<'_>, c_library: CLibrary) -> Option<String> {
    let dynamic = elf.dynamic().ok().flatten().filter(|_| c_library == CLibrary::Glibc)?;
    let names = dynamic.audit_libraries().join(&b':');
    (!names.is_empty()).then(|| String::from_utf8_lossy(&names).into_owned())
}

impl Loader {
    fn read(root: &Root, path: &Path) -> Self {
        match Self::library(root, path) {
            Ok(library) => library.map_or(Self::Unknown, Self::Known),
            Err(error) => match error.raw_os_error() {
                Some(number) => Self::Failed(number),
                None => Self::Bad(error.to_string()),
            },
        }
    }

    fn library(root: &Root, path: &Path) -> io::Result<Option<CLibrary>> {
        let found = root.find(path)?;
        if !found.link().metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = File::open(found.link())?;
        holes::check(&file)?;
        let len = file.metadata()?.len();
        let mut excerpt = Excerpt::new();
        let elf = ElfFile::parse(excerpt.read_whole(&file, len)?).map_err(io::Error::other)?;
        CLibrary::of_loader(&elf).map_err(io::Error::other)
    }
}

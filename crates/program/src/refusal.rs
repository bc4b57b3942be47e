//! Why a file cannot be converted, as far as it shows from outside: each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

use statify_elf::ElfError;
use statify_room::Root;

use crate::Privileges;

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A name without a slash that no directory of PATH has.
    #[error("{0}: not found in PATH; give the program's path")]
    NotInPath(PathBuf),
    /// The program cannot be opened or read.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    Program(PathBuf, #[source] io::Error),
    /// What is wrong in a directory given as root.
    #[error("in {root}: {source}", root = .0.display(), source = .1)]
    InRoot(PathBuf, #[source] Box<Refusal>),
    /// Not a regular file.
    #[error("{path}: it is {kind}; give an executable file", path = .0.display(), kind = .1)]
    NotAFile(PathBuf, &'static str),
    /// Starts with `#!`.
    #[error("{path}: it is a script; convert its interpreter ({interpreter}) instead", path = .0.display(), interpreter = .1)]
    Script(PathBuf, String),
    /// Not readable as ELF, or not for this machine.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    Elf(PathBuf, #[source] ElfError),
    /// ET_REL, ET_CORE or the like.
    #[error("{path}: it is no executable (ELF type {kind})", path = .0.display(), kind = .1)]
    NotExecutable(PathBuf, u16),
    /// No PT_INTERP.
    #[error("{path}: it is already static (or a shared library); there is nothing to convert", path = .0.display())]
    Static(PathBuf),
    /// Carries the manifest.
    #[error("{path}: it is already converted; convert the original instead", path = .0.display())]
    Converted(PathBuf),
    /// Set-user-ID, set-group-ID or file capabilities.
    #[error("{path}: it {privileges}, which a converted copy would lose; give --preserve-privileges to keep that, or convert a copy without", path = .0.display(), privileges = .1)]
    Privileged(PathBuf, Box<Privileges>),
    /// The execute permission is missing.
    #[error("{path}: it is not executable for you; chmod +x it", path = .0.display())]
    NotPermitted(PathBuf),
    /// PT_INTERP names a file that cannot be opened.
    #[error("{path}: its interpreter {interpreter} cannot be opened: {source}", path = .0.display(), interpreter = .1.display(), source = .2)]
    Interpreter(PathBuf, PathBuf, #[source] io::Error),
    /// The C library is of a kind that is not handled.
    #[error("{path}: its interpreter {interpreter} is neither glibc's loader nor musl's, which is all that is supported yet", path = .0.display(), interpreter = .1.display())]
    Loader(PathBuf, PathBuf),
    /// DT_AUDIT or DT_DEPAUDIT of the program.
    #[error("{path}: it is watched by the audit library {library} (DT_AUDIT or DT_DEPAUDIT), and a converted copy would not be; relink it, or the library that this comes from, without ld's --audit and --depaudit", path = .0.display(), library = .1)]
    Audited(PathBuf, String),
    /// A DT_NEEDED that the loader did not find.
    #[error("{path}: the library {library}, needed by {needed_by}, was not found; install it, or make its directory known by ldconfig or the program's RUNPATH (LD_LIBRARY_PATH is not used)", path = .0.display(), library = .1, needed_by = .2)]
    LibraryMissing(PathBuf, String, String),
    /// The loader gave up, with its own words.
    #[error("{path}: the loader refused it: {message}", path = .0.display(), message = .1)]
    Loading(PathBuf, String),
    /// The loader died.
    #[error("{path}: the loader was ended by {how} before it had finished", path = .0.display(), how = .1)]
    LoaderDied(PathBuf, String),
    /// A module with a segment that is writable and executable.
    #[error("{path}: {module} has memory that is writable and executable at once, which no output has; relink it without (ld -z separate-code, no -N)", path = .0.display(), module = .1.display())]
    WritableCode(PathBuf, PathBuf),
    /// A payload that cannot lie where its own last bytes say that it lies.
    #[error("{path}: behind its end it has {size} bytes, which say themselves that they lie at offset {offset} of its file, where a converted program has other things; it cannot be converted", path = .0.display(), size = .1, offset = .2)]
    Payload(PathBuf, u64, u64),
    /// Bytes in the program's file that cannot be kept where they are.
    #[error("{path}: it has {size} bytes at offset {offset} that none of its headers accounts for, and a converted program has other things there; it cannot be converted", path = .0.display(), size = .1, offset = .2)]
    Unclaimed(PathBuf, u64, u64),
}

impl Refusal {
    /// Says with the directory what is wrong in it, where a directory stands for the root.
    pub fn in_root(self, root: &Root) -> Self {
        match root.given() {
            Some(directory) => Self::InRoot(directory.to_owned(), Box::new(self)),
            None => self,
        }
    }
}

/// A result of this crate.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

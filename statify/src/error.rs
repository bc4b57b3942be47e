//! Why a conversion did not happen: each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

use crate::elf::ElfError;
use crate::privileges::Privileges;

/// The reasons for which [`crate::convert`] fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name without a slash that no directory of PATH has.
    #[error("{0}: not found in PATH; give the program's path")]
    NotInPath(PathBuf),
    /// The program cannot be opened or read.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    Program(PathBuf, #[source] io::Error),
    /// The directory given as root cannot be opened.
    #[error("{path}: it cannot stand for the root: {source}; give a directory", path = .0.display(), source = .1)]
    Root(PathBuf, #[source] io::Error),
    /// What is wrong in a directory given as root.
    #[error("in {root}: {source}", root = .0.display(), source = .1)]
    InRoot(PathBuf, #[source] Box<Error>),
    /// No namespaces for code out of another root.
    #[error("the namespaces that another root needs cannot be made ({source}): {cause}", source = .0, cause = .1)]
    Namespaces(#[source] io::Error, &'static str),
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
    /// Libraries of a privileged program that ld.so would not find with its privileges.
    #[error("{path}: it {privileges}, and {module} names libraries relative to itself ($ORIGIN), which is not safe with privileges; relink it with fixed directories", path = .0.display(), privileges = .1, module = .2.display())]
    PrivilegedOrigin(PathBuf, Box<Privileges>, PathBuf),
    /// Somebody else could have changed what a privileged program consists of.
    #[error("{path}: it {privileges}, and others than root and its owner can change {file} ({how}); make it safe from them first", path = .0.display(), privileges = .1, file = .2.display(), how = .3)]
    PrivilegedWritable(PathBuf, Box<Privileges>, PathBuf, String),
    /// OUT cannot be given what PROG has.
    #[error("{path}: it cannot be given its owner and privileges ({source}); run statify as root, on a file system that keeps them", path = .0.display(), source = .1)]
    CannotPreserve(PathBuf, #[source] io::Error),
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
    /// The loader took too long.
    #[error("{path}: the loader did not finish within {seconds} s; give it more with --timeout", path = .0.display(), seconds = .1)]
    Timeout(PathBuf, u64),
    /// ptrace(2) or what goes with it is refused.
    #[error("{path}: tracing is not permitted ({source}): {cause}", path = .0.display(), source = .1, cause = .2)]
    Trace(PathBuf, #[source] io::Error, &'static str),
    /// The traced code did something that a loader does not do.
    #[error("{path}: code that runs before the program does {what}; it cannot be converted", path = .0.display(), what = .1)]
    Behaviour(PathBuf, String),
    /// A module with a segment that is writable and executable.
    #[error("{path}: {module} has memory that is writable and executable at once, which no output has; relink it without (ld -z separate-code, no -N)", path = .0.display(), module = .1.display())]
    WritableCode(PathBuf, PathBuf),
    /// A payload that cannot lie where its own last bytes say that it lies.
    #[error("{path}: behind its end it has {size} bytes, which say themselves that they lie at offset {offset} of its file, where a converted program has other things; it cannot be converted", path = .0.display(), size = .1, offset = .2)]
    Payload(PathBuf, u64, u64),
    /// Bytes in the program's file that cannot be kept where they are.
    #[error("{path}: it has {size} bytes at offset {offset} that none of its headers accounts for, and a converted program has other things there; it cannot be converted", path = .0.display(), size = .1, offset = .2)]
    Unclaimed(PathBuf, u64, u64),
    /// Something about the process that has no place in an output.
    #[error("{path}: {what}; please report it with the output of `statify --version`", path = .0.display(), what = .1)]
    Unexpected(PathBuf, String),
    /// A word that differs between captures and is not explained.
    #[error("{path}: {count} word(s) differ between two runs and are not explained, the first at offset {offset:#x} of {module}: {first:#x} and {second:#x}; please report this with the output of `statify --version`", path = .program.display())]
    Unexplained {
        /// The program.
        program: PathBuf,
        /// How many words.
        count: usize,
        /// The module that the first is in.
        module: String,
        /// The first's distance from the module's start, in bytes.
        offset: u64,
        /// Its value in the first capture.
        first: u64,
        /// Its value in the second.
        second: u64,
    },
    /// A library of `--with` cannot be loaded.
    #[error("{path}: {library}, which --with names, cannot be embedded: {why}", path = .0.display(), library = .1.display(), why = .2)]
    Plugin(PathBuf, PathBuf, String),
    /// A program of musl's or of another root.
    #[error("{path}: libraries can be embedded for dlopen in programs of this machine's glibc only; convert it without --with, --trace and --host-libs deny", path = .0.display())]
    NoPlugins(PathBuf),
    /// The loader's calls cannot be redirected to the agent.
    #[error("{path}: its loader's way to open files is not understood, so that nothing can be embedded for dlopen; convert it without --with, --trace and --host-libs deny, and please report this with the output of `statify --version`", path = .0.display())]
    Redirect(PathBuf),
    /// OUT exists and may not be replaced.
    #[error("{path}: it exists; give --force to replace it", path = .0.display())]
    OutputExists(PathBuf),
    /// OUT is a device or the like.
    #[error("{path}: it is no regular file; choose another name for the output", path = .0.display())]
    OutputIsNoFile(PathBuf),
    /// OUT is PROG.
    #[error("{path}: output and program are the same file; choose another name for the output", path = .0.display())]
    OutputIsProgram(PathBuf),
    /// OUT cannot be written.
    #[error("{path}: it cannot be written: {source}", path = .0.display(), source = .1)]
    Output(PathBuf, #[source] io::Error),
    /// What was written is not what was planned: a bug here.
    #[error("{path}: the file written is not what was planned ({what}); nothing was left behind, please report this", path = .0.display(), what = .1)]
    Check(PathBuf, String),
    /// Original and converted program behave differently.
    #[error("{path}: {what}; nothing was written", path = .0.display(), what = .1)]
    Verify(PathBuf, String),
    /// Asked to stop.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl Error {
    /// Whether it is about the program or what belongs to it, rather than about the output or this
    /// machine.
    pub(crate) fn is_of_program(&self) -> bool {
        !matches!(
            self,
            Self::Root(..)
                | Self::InRoot(..)
                | Self::Namespaces(..)
                | Self::Trace(..)
                | Self::OutputExists(_)
                | Self::OutputIsNoFile(_)
                | Self::OutputIsProgram(_)
                | Self::Output(..)
                | Self::Check(..)
                | Self::Interrupted
        )
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

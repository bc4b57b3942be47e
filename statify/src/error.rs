//! Why a conversion did not happen: each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

use statify_program::{Privileges, Refusal};
use statify_room::Root;

use crate::pool::PoolError;
use crate::unexplained::Words;

/// The reasons for which [`crate::convert`] fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What speaks against the program without running anything, or what its loader says of it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The directory that outputs map libraries from.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The root, or the room that code out of it needs.
    #[error(transparent)]
    Room(#[from] statify_room::Error),
    /// What is wrong in a directory given as root.
    #[error("in {root}: {source}", root = .0.display(), source = .1)]
    InRoot(PathBuf, #[source] Box<Error>),
    /// Libraries of a privileged program that ld.so would not find with its privileges.
    #[error("{path}: it {privileges}, and {module} names libraries relative to itself ($ORIGIN), which is not safe with privileges; relink it with fixed directories", path = .0.display(), privileges = .1, module = .2.display())]
    PrivilegedOrigin(PathBuf, Box<Privileges>, PathBuf),
    /// Somebody else could have changed what a privileged program consists of.
    #[error("{path}: it {privileges}, and others than root and its owner can change {file} ({how}); make it safe from them first", path = .0.display(), privileges = .1, file = .2.display(), how = .3)]
    PrivilegedWritable(PathBuf, Box<Privileges>, PathBuf, String),
    /// OUT cannot be given what PROG has.
    #[error("{path}: it cannot be given its owner and privileges ({source}); run statify as root, on a file system that keeps them", path = .0.display(), source = .1)]
    CannotPreserve(PathBuf, #[source] io::Error),
    /// The loader took too long.
    #[error("{path}: the loader did not finish within {seconds} s; give it more with --timeout", path = .0.display(), seconds = .1)]
    Timeout(PathBuf, u64),
    /// ptrace(2) or what goes with it is refused.
    #[error("{path}: tracing is not permitted ({source}): {cause}", path = .0.display(), source = .1, cause = .2)]
    Trace(PathBuf, #[source] io::Error, &'static str),
    /// The traced code did something that a loader does not do.
    #[error("{path}: code that runs before the program does {what}; it cannot be converted", path = .0.display(), what = .1)]
    Behaviour(PathBuf, String),
    /// Something about the process that has no place in an output.
    #[error("{path}: {what}; please report it with the output of `statify --report PROG`", path = .0.display(), what = .1)]
    Unexpected(PathBuf, String),
    /// Words that differ between captures and are not explained.
    #[error("{path}: {words}; please report this with the output of `statify --report PROG`", path = .0.display(), words = .1)]
    Unexplained(PathBuf, Box<Words>),
    /// A library of `--with` cannot be loaded.
    #[error("{path}: {library}, which --with names, cannot be embedded: {why}", path = .0.display(), library = .1.display(), why = .2)]
    Plugin(PathBuf, PathBuf, String),
    /// A program of musl's or of another root.
    #[error("{path}: libraries can be embedded for dlopen in programs of this machine's glibc only; convert it without --with, --trace and --host-libs deny", path = .0.display())]
    NoPlugins(PathBuf),
    /// The loader's calls cannot be redirected to the agent.
    #[error("{path}: its loader's way to open files is not understood, so that nothing can be embedded for dlopen; convert it without --with, --trace and --host-libs deny, and please report this with the output of `statify --report PROG`", path = .0.display())]
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
    #[error("{path}: the file written is not what was planned ({what}); nothing was left behind; please report this with the output of `statify --report PROG`", path = .0.display(), what = .1)]
    Check(PathBuf, String),
    /// Original and converted program behave differently.
    #[error("{path}: {what}; nothing was written", path = .0.display(), what = .1)]
    Verify(PathBuf, String),
    /// Asked to stop.
    /// There is no starter for its machine.
    #[error(
        "{path} is for a machine for whose programs this statify has no starter, as the one in its sources is older than they are; make it anew (cargo xtask starter --rustc PROGRAM) and build statify again", path = .0.display()
    )]
    NoStarter(PathBuf),
    /// A signal has come.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl Error {
    /// Says with the directory what is wrong in it, where a directory stands for the root.
    pub fn in_root(self, root: &Root) -> Self {
        match root.given() {
            Some(directory) if self.is_of_program() => {
                Self::InRoot(directory.to_owned(), Box::new(self))
            }
            _ => self,
        }
    }

    /// The words that are not explained, if it is that.
    pub fn unexplained(&self) -> Option<&Words> {
        match self {
            Self::Unexplained(_, words) => Some(words),
            Self::InRoot(_, error) => error.unexplained(),
            _ => None,
        }
    }

    /// Whether it is about the program or what belongs to it, rather than about the output or this
    /// machine.
    fn is_of_program(&self) -> bool {
        !matches!(
            self,
            Self::Room(..)
                | Self::InRoot(..)
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

//! Why the hand-off was not reached.

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// The reasons.
#[derive(Debug)]
pub enum RunError {
    /// ptrace failed.
    System(Errno),
    /// A file that the process mapped cannot be read.
    Io(std::io::Error),
    /// The loader exited, having said why.
    Exited(i32),
    /// It was killed.
    Killed(Signal),
    /// It did what no loader does.
    Behaviour(String),
    /// It does not begin as its C library's loader does.
    Loader,
}

impl From<Errno> for RunError {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

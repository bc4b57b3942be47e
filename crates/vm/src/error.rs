//! Why a machine does not do what is asked of it.

use std::io;
use std::path::PathBuf;

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No emulator.
    #[error("{0} is not installed")]
    NoEmulator(String),
    /// It cannot be started.
    #[error("{0} cannot be started: {1}")]
    Start(String, #[source] io::Error),
    /// The board has too few serial lines.
    #[error("a machine of this kind has {lines} serial lines, and not {wanted}")]
    NoSuchLine {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        lines: usize,
    },
    /// The serial line is no pipe, or broken.
    #[error("the machine's line: {0}")]
    Line(#[source] io::Error),
    /// What was waited for was not said in time.
    #[error("`{pattern}` was waited for in vain; the last words: {tail}")]
    InVain {
        /// What was waited for.
        pattern: String,
        /// The last that was said.
        tail: String,
    },
    /// The machine ended before it said what was waited for.
    #[error("the machine stopped before `{pattern}`; its last words: {tail}")]
    Stopped {
        /// What was waited for.
        pattern: String,
        /// The last that was said.
        tail: String,
    },
    /// The machine was to end, and does not.
    #[error("the machine does not stop; its last words: {0}")]
    GoesOn(String),
    /// The monitor does not answer, or not as QEMU's documentation says.
    #[error("the machine's monitor: {0}")]
    Monitor(#[source] io::Error),
    /// A file for the initial file system.
    #[error("{path}: {1}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

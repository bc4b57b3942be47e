//! What can go wrong, each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

/// The reasons for which a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be opened or read.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    File(PathBuf, #[source] io::Error),
    /// Bytes that no conversion has written.
    #[error("{path}: {why}", path = .0.display(), why = .1)]
    NotConverted(PathBuf, #[source] crate::converted::open::NotConverted),
    /// A file for which no loader does anything.
    #[error("{path}: it is static or no program (an object, a core, debugging information): no loader loads anything for it", path = .0.display())]
    NotLoaded(PathBuf),
    /// A converted file.
    #[error("{path}: it is converted: nothing is loaded for it, its libraries are inside; see elfscan show", path = .0.display())]
    Converted(PathBuf),
    /// Something else at a loader's path.
    #[error("{path}: it is neither glibc's loader nor musl's, so where it looks for libraries is not known; name another with --loader", path = .0.display())]
    Loader(PathBuf),
    /// A CPU that a loader knows nothing of.
    #[error("{cpu}: the loader {loader} knows no such CPU; it knows: {known}", cpu = .0, loader = .1.display(), known = .2)]
    UnknownCpu(String, PathBuf, String),
    /// No dynamic section.
    #[error("{path}: it is statically linked, so that no imports tell what it calls; look at what it was linked from", path = .0.display())]
    NoImports(PathBuf),
    /// As the conversion says it.
    #[error(transparent)]
    Refused(#[from] statify_program::Refusal),
    /// A directory that cannot stand for the root.
    #[error(transparent)]
    Room(#[from] statify_room::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

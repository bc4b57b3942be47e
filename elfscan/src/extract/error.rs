//! Why nothing, or not everything, is extracted.

use std::io;
use std::path::PathBuf;

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No ELF file with a manifest.
    #[error("{}: it is not a file that statify has converted, so nothing is embedded in it", .0.display())]
    NotConverted(PathBuf),
    /// The manifest and the file do not fit.
    #[error("{path}: it is damaged: {name:?} cannot be found in it as its manifest says (elfscan check tells more)", path = .0.display(), name = .1)]
    Damaged(PathBuf, String),
    /// No embedded file has this name.
    #[error("{path}: no embedded file is called {name:?}: elfscan show lists them", path = .0.display(), name = .1)]
    NoSuchModule(PathBuf, String),
    /// A path that would lead elsewhere, or that no tool could be told of.
    #[error(
        "{0:?} is a path that nothing is written to: it is not absolute, leads upwards, or has control characters"
    )]
    Path(String),
    /// Something is in the way.
    #[error("{}: it exists already; --force replaces it", .0.display())]
    Exists(PathBuf),
    /// Two embedded files have the same path.
    #[error("two embedded files are called {0:?}: name one of them to extract it alone")]
    Twice(String),
    /// The original is not there any more.
    #[error("{}: the original is not there any more, or is another file now; without --exact it is rebuilt from the converted file", .0.display())]
    NoOriginal(PathBuf),
    /// A file cannot be written.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    Write(PathBuf, #[source] io::Error),
}

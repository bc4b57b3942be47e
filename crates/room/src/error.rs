//! Why a directory cannot stand for the root, or there is no room for code out of it.

use std::io;
use std::path::PathBuf;

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory given as root cannot be opened.
    #[error("{path}: it cannot stand for the root: {source}; give a directory", path = .0.display(), source = .1)]
    Root(PathBuf, #[source] io::Error),
    /// No namespaces for code out of another root.
    #[error("the namespaces that another root needs cannot be made ({source}): {cause}", source = .0, cause = .1)]
    Namespaces(#[source] io::Error, &'static str),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

//! Where a library was found, and by which rule; or why it was not.

use std::sync::Arc;

use super::library::{Library, Name};

/// The rule by which a library was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Its name is a path.
    Path,
    /// A directory of the DT_RPATH of this module, which need not be the one that needs it.
    Rpath {
        /// Index of the module.
        of: usize,
        /// The directory, its tokens replaced.
        directory: Name,
        /// As it stands in the file, if that is something else (`$ORIGIN`).
        written: Option<Name>,
    },
    /// A directory of the DT_RUNPATH of the module that needs it. (With musl: of one in the chain
    /// of those that needed one another.)
    Runpath {
        /// Index of the module.
        of: usize,
        /// The directory, its tokens replaced.
        directory: Name,
        /// As it stands in the file, if that is something else (`$ORIGIN`).
        written: Option<Name>,
    },
    /// A directory of LD_LIBRARY_PATH.
    LibraryPath {
        /// The directory.
        directory: Name,
    },
    /// `/etc/ld.so.cache`.
    Cache,
    /// A directory of musl's configuration, `/etc/ld-musl-ARCH.path`.
    Configured {
        /// The directory.
        directory: Name,
    },
    /// One of the directories that are built into the loader.
    Default {
        /// The directory.
        directory: Name,
    },
    /// It is the loader itself.
    Loader,
    /// It is what was asked about.
    Subject,
}

/// A library that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its path, as the loader puts it together.
    pub path: Vec<u8>,
    /// What it is.
    pub library: Arc<Library>,
    /// Why it was found.
    pub rule: Rule,
    /// The subdirectory by the CPU's abilities in which it was found, without a slash at its end.
    pub subdirectory: Option<Name>,
}

/// Why none was.
#[derive(Clone, Debug)]
pub enum NotFound {
    /// There is none.
    Missing {
        /// Files of the name that are for another machine.
        others: Vec<Vec<u8>>,
    },
    /// There is one, but the loader gives up on it.
    Refused {
        /// Its path, or the name that was asked for: whichever the loader's message names.
        path: Vec<u8>,
        /// Why, in the loader's words; `None` if it dies without any.
        why: Option<String>,
    },
}

/// A directory in which is searched: it ends in a slash, or is empty for the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub path: Vec<u8>,
    /// As it was written, if tokens were replaced.
    pub written: Option<Name>,
}

//! A module while it is being found out what it needs.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::found::{Directory, Rule};
use super::library::{Library, Name};
use super::loaded::Module;

/// It.
pub(super) struct Object {
    pub path: Vec<u8>,
    pub library: Arc<Library>,
    pub rule: Rule,
    pub subdirectory: Option<Name>,
    pub requester: Option<usize>,
    /// `$ORIGIN`.
    pub origin: Vec<u8>,
    pub secure: bool,
    pub requests: Range<usize>,
    /// The directories of DT_RPATH, once they are needed.
    pub rpath: OnceLock<Vec<Directory>>,
    /// The directories of DT_RUNPATH, once they are needed.
    pub runpath: OnceLock<Vec<Directory>>,
}

impl Object {
    /// What is kept of it.
    pub fn into_module(self) -> Module {
        let Self { path, library, rule, subdirectory, requester, requests, .. } = self;
        Module { path, library, rule, subdirectory, requester, requests }
    }
}

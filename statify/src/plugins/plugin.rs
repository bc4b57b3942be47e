//! What is asked for, and what was found.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use statify_format::HostLibs;

use crate::capture::{CallSite, Ending, Object};

/// What is asked of a conversion.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Libraries to embed: paths, or names that the loader finds.
    pub with: Vec<PathBuf>,
    /// Run the program with these arguments and embed what it opens.
    pub trace: Option<Vec<OsString>>,
    /// What that run writes to its standard output goes to standard error.
    pub trace_to_stderr: bool,
    /// What happens to everything else.
    pub host_libs: HostLibs,
}

impl Request {
    /// Whether the output needs an agent.
    pub fn is_any(&self) -> bool {
        !self.with.is_empty() || self.trace.is_some() || self.host_libs == HostLibs::Deny
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Plugins {
    /// Files to embed.
    pub files: Vec<Plugin>,
    /// Names of the modules that are loaded from the start, by object.
    pub modules: Vec<BTreeSet<Vec<u8>>>,
    /// Instructions of the loader that open files or ask for their state.
    pub loader_sites: BTreeSet<CallSite>,
    /// Instructions of the C library that open data files.
    pub library_sites: BTreeSet<CallSite>,
    /// Directories in which libraries are looked for by name.
    pub directories: BTreeSet<Vec<u8>>,
    /// How the run of the program ended.
    pub ending: Option<Ending>,
}

/// A file to embed.
#[derive(Debug)]
pub struct Plugin {
    /// The file.
    pub object: Object,
    /// Its paths.
    pub names: BTreeSet<Vec<u8>>,
    /// Read by the C library, not loaded.
    pub is_data: bool,
}

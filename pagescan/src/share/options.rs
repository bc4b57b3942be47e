//! What is asked for.

use serde::Serialize;

/// By what pages belong together: sharing within one is internal, between two external.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "command-line", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Each process
    #[default]
    Process,
    /// Each virtual machine; all that is no machine's is the host's
    Guest,
    /// Each mapped file; what is mapped of no file, by its name
    File,
    /// Each file's name, wherever files of that name lie
    Library,
    /// Each control group
    Cgroup,
    /// Each user
    User,
}

impl By {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Guest => "guest",
            Self::File => "file",
            Self::Library => "library",
            Self::Cgroup => "cgroup",
            Self::User => "user",
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the domains are.
    pub by: By,
    /// At most so many pages of address spaces are in one frame of KSM's (/sys/kernel/mm/ksm/max_page_sharing).
    pub max_page_sharing: u64,
    /// So many of the largest duplicates are told.
    pub largest: usize,
    /// So many of the largest domains are held against one another.
    pub matrix: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { by: By::Process, max_page_sharing: 256, largest: 20, matrix: 64 }
    }
}

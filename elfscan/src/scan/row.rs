//! A row of the result.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use statify_program::Privileges;

use super::{Facts, Kind, Verdict};

/// What a file lets its program do that whoever runs it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// Runs as the file's owner.
    SetUserId,
    /// Runs as the file's group.
    SetGroupId,
    /// Runs with the file's capabilities.
    Capabilities,
}

impl Privilege {
    /// A file's.
    pub fn all_of(privileges: &Privileges) -> Vec<Self> {
        let of_bit = |bit, privilege| (privileges.mode & bit != 0).then_some(privilege);
        let capabilities = privileges.capabilities.as_ref().map(|_| Self::Capabilities);
        let bits = [of_bit(0o4000, Self::SetUserId), of_bit(0o2000, Self::SetGroupId)];
        bits.into_iter().chain([capabilities]).flatten().collect()
    }

    /// In short.
    pub fn name(self) -> &'static str {
        match self {
            Self::SetUserId => "set-user-ID",
            Self::SetGroupId => "set-group-ID",
            Self::Capabilities => "capabilities",
        }
    }
}

/// What is told of an ELF file.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its path: under the directory given, or in the root. Of several the first that is no symbolic
    /// link.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// What it says of itself.
    #[serde(flatten)]
    pub facts: Facts,
    /// Its privileges.
    pub privileges: Vec<Privilege>,
    /// What statify would make of it.
    pub verdict: Verdict,
    /// Why it cannot be converted: what statify says.
    pub reason: Option<String>,
}

impl Row {
    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.facts.kind.unwrap_or(Kind::Damaged)
    }

    /// The reason without the path that it begins with.
    pub fn short_reason(&self) -> Option<&str> {
        let reason = self.reason.as_deref()?;
        let path = format!("{}: ", self.path.display());
        Some(reason.split_once(&path).map_or(reason, |(_, short)| short))
    }
}

/// What could not be looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// A file or a directory.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Paths that are no text cannot stand in JSON as they are.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    let path: &OsStr = path.as_os_str();
    serializer.serialize_str(&path.to_string_lossy())
}

//! What an image runs on.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// As `--platform` says it and images do (OCI image specification, image-index.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    /// Any, if it is not said.
    variant: Option<String>,
}

impl FromStr for Platform {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err("OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT is wanted"),
        };
        Ok(Self { os: os.into(), architecture: architecture.into(), variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl Platform {
    /// What a descriptor's `platform`, or an image's configuration, says.
    pub fn of(value: &Value) -> Option<Self> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Self {
            os: text("os")?,
            architecture: text("architecture")?,
            variant: text("variant").filter(|variant| !variant.is_empty()),
        })
    }

    /// Whether an image for `other` is meant.
    pub fn means(&self, other: &Self) -> bool {
        let variant = self.variant.is_none() || self.variant == other.variant;
        self.os == other.os && self.architecture == other.architecture && variant
    }
}

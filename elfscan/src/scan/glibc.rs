//! The oldest glibc that a file runs with, by the symbol versions that it needs.

use std::fmt;

use serde::{Serialize, Serializer};
use statify_elf::{NeededVersion, Versions};

/// A glibc version, compared number by number: 2.9 is older than 2.17.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion(Vec<u32>);

impl GlibcVersion {
    /// The highest that is needed; `None` if none is, or only weakly.
    pub fn floor(versions: &Versions<'_>) -> Option<Self> {
        let strong = versions.needed().iter().filter(|version| !version.weak);
        strong.filter_map(Self::of).max()
    }

    fn of(version: &NeededVersion<'_>) -> Option<Self> {
        Self::parse(version.name)
    }

    /// A symbol version: `GLIBC_2.2.5`, or one of those that glibc has for what its loader can do.
    pub fn parse(name: &[u8]) -> Option<Self> {
        // ld -z pack-relative-relocs; glibc's NEWS for 2.36.
        if name == b"GLIBC_ABI_DT_RELR" {
            return Some(Self(vec![2, 36]));
        }
        let numbers = str::from_utf8(name.strip_prefix(b"GLIBC_")?).ok()?;
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        // Longer ones would only cost memory.
        let numbers: Option<Vec<u32>> = numbers.split('.').take(5).map(number).collect();
        numbers.map(Self)
    }
}

impl fmt::Display for GlibcVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, number) in self.0.iter().enumerate() {
            let dot = if place == 0 { "" } else { "." };
            write!(out, "{dot}{number}")?;
        }
        Ok(())
    }
}

impl Serialize for GlibcVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_not_letters() {
        let version = |name: &str| GlibcVersion::parse(name.as_bytes());
        assert!(version("GLIBC_2.9") < version("GLIBC_2.17"));
        assert!(version("GLIBC_2.2.5") < version("GLIBC_2.3"));
        assert!(version("GLIBC_2.2") < version("GLIBC_2.2.5"));
        assert_eq!(version("GLIBC_2.2.5").map(|v| v.to_string()), Some("2.2.5".into()));
        assert_eq!(version("GLIBC_ABI_DT_RELR"), version("GLIBC_2.36"));
        for name in [
            "GLIBC_PRIVATE",
            "GLIBCXX_3.4",
            "GLIBC_",
            "GLIBC_2.",
            "GLIBC_+2.3",
            "GLIBC_99999999999",
        ] {
            assert_eq!(version(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = GlibcVersion::parse(&[b"GLIBC_", &name[..]].concat());
        }

        #[test]
        fn come_back(numbers in proptest::collection::vec(any::<u32>(), 1..5)) {
            let version = GlibcVersion(numbers);
            prop_assert_eq!(GlibcVersion::parse(format!("GLIBC_{version}").as_bytes()), Some(version));
        }
    }
}

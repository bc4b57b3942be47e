//! Patterns for paths in a tree, as options give them.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};

/// What matches any of the patterns of `option`: paths in the tree; a pattern without a slash is for
/// names.
pub fn set(option: &'static str, patterns: &[String]) -> Result<GlobSet> {
    let set = || {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let whole = match pattern.contains('/') {
                true => pattern.clone(),
                false => format!("/**/{pattern}"),
            };
            set.add(GlobBuilder::new(&whole).literal_separator(true).build()?);
        }
        set.build()
    };
    set().map_err(|error| Error::Pattern(option, error))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_and_paths() {
        let set = super::set("--only", &["l?".into(), "/usr/sbin/*".into()]).unwrap();
        for path in ["/bin/ls", "/usr/bin/ls", "/usr/sbin/a"] {
            assert!(set.is_match(path), "{path}");
        }
        for path in ["/bin/lsx", "/usr/bin/l/x", "/usr/sbin/a/b"] {
            assert!(!set.is_match(path), "{path}");
        }
        let said = super::set("--only", &["[".into()]).unwrap_err().to_string();
        assert!(said.starts_with("--only: "), "{said}");
    }
}

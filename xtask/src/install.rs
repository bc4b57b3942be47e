//! Installing into this system, or into a directory that stands for one.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Puts the tools below `prefix`, in the system in `root`. Prints the path of each file.
pub fn install(root: &Path, prefix: &Path, profile: &str) -> Result<()> {
    let to = place(root, prefix)?;
    for path in crate::tools(profile)?.copy_to(&to)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Where a directory of a system is that lies in `root`.
fn place(root: &Path, prefix: &Path) -> Result<PathBuf> {
    ensure!(prefix.is_absolute(), "{}: the prefix is to begin with a slash", prefix.display());
    Ok(std::path::absolute(root)?.join(prefix.strip_prefix("/")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_in_the_root() {
        let in_root = |root: &str, prefix: &str| place(Path::new(root), Path::new(prefix)).ok();
        assert_eq!(in_root("/", "/usr/local"), Some("/usr/local".into()));
        assert_eq!(in_root("/tmp/root", "/usr"), Some("/tmp/root/usr".into()));
        assert_eq!(in_root("/", "usr"), None);
    }
}

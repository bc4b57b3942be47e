//! Everything in a tree, one after the other.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statify_files::beneath;

use super::directory::Directory;
use super::opened::{Name, STATE, Tree};
use crate::error::{Error, Result};

/// Something in a tree.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What it is called; it may be something else meanwhile.
    pub name: Name,
    /// What stat(2) said of it.
    pub stat: Metadata,
}

/// What goes through a tree.
struct Walk {
    top: Directory,
    /// Directories whose entries do not count, from ROOT on.
    hidden: Vec<PathBuf>,
    /// Directories that are still to be looked into, from ROOT on.
    left: Vec<PathBuf>,
    /// Where it is.
    here: Option<(Arc<Directory>, std::fs::ReadDir)>,
}

/// Everything in the tree, directories before what is in them: but for what is mounted there of the
/// running system, and the journal. Each directory is opened through no link, so that nothing outside of
/// the tree is met, whatever is done to it meanwhile.
pub fn walk(tree: &Tree) -> Result<impl Iterator<Item = Result<Entry>>> {
    let mounts = tree.mounts()?.into_iter().filter(|mount| mount.hidden);
    let hidden = mounts.map(|mount| PathBuf::from(OsString::from_vec(mount.point))).collect();
    let top = tree.top()?;
    let mut walk = Walk { top, hidden, left: vec!["/".into()], here: None };
    let at = tree.path.clone();
    Ok(std::iter::from_fn(move || walk.step(&at).transpose()))
}

impl Walk {
    fn step(&mut self, tree: &Path) -> Result<Option<Entry>> {
        loop {
            if let Some((directory, entries)) = &mut self.here {
                let shown = |path: &Path| tree.join(path.strip_prefix("/").unwrap_or(path));
                let Some(entry) = entries.next() else {
                    self.here = None;
                    continue;
                };
                let entry = entry.map_err(Error::file("read", &shown(&directory.path)))?;
                let name = Name { directory: directory.clone(), file: entry.file_name() };
                let path = name.path();
                if path.parent() == Some(Path::new("/")) && name.file == STATE {
                    continue;
                }
                let stat = match name.at().symlink_metadata() {
                    // Gone meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other.map_err(Error::file("read", &shown(&path)))?,
                };
                if stat.is_dir() && !self.hidden.contains(&path) {
                    self.left.push(path);
                }
                return Ok(Some(Entry { name, stat }));
            }
            let Some(path) = self.left.pop() else {
                return Ok(None);
            };
            let inside = path.strip_prefix("/").unwrap_or(&path);
            let opened = beneath::directory(self.top.file(), inside).and_then(|file| {
                let entries = std::fs::read_dir(beneath::link(&file))?;
                Ok((file, entries))
            });
            let (file, entries) = match opened {
                // Gone meanwhile, or something else now.
                Err(error) if beneath::is_gone(&error) => continue,
                other => other.map_err(Error::file("read", &tree.join(inside)))?,
            };
            let directory = Arc::new(Directory::new(path, file));
            self.here = Some((directory, entries));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// As somebody would who may write to the tree.
    #[test]
    fn a_walk_does_not_leave_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("root/a/b")).unwrap();
        fs::create_dir_all(at("outside/b")).unwrap();
        fs::write(at("outside/b/secret"), "").unwrap();
        let tree = Tree::open(&at("root")).unwrap();
        let mut seen = Vec::new();
        for entry in walk(&tree).unwrap() {
            let path = entry.unwrap().name.path();
            if path == Path::new("/a") {
                fs::rename(at("root/a"), at("root/moved")).unwrap();
                symlink(at("outside"), at("root/a")).unwrap();
            }
            seen.push(path);
        }
        assert!(!seen.iter().any(|path| path.ends_with("secret")), "{seen:?}");
    }
}

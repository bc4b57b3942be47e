//! The tree that is worked on, and its directories, opened once: a name is looked up in its directory's
//! descriptor, so that no link on the way leads elsewhere, whatever happens meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::Mode;
use statify_files::beneath;
use statify_room::Root;
use statify_room::mounts::{self, Mount};

use crate::error::{Error, Result};
use crate::run_id::RunId;

/// What the directories, beside the programs, for what does not have its name yet are called; behind it
/// comes the run that made them. What is called so and is not named by the journal is the tree's own.
const WORK: &str = ".rootfs-tools-work-";

/// The directory in a tree that holds its journal.
pub const STATE: &str = ".rootfs-tools";

/// A tree.
#[derive(Debug)]
pub struct Tree {
    /// Where paths of it are found.
    pub root: Root,
    /// Its directory, without symbolic links.
    pub path: PathBuf,
}

/// A directory of a tree.
#[derive(Debug)]
pub struct Directory {
    /// From ROOT on, without symbolic links.
    pub path: PathBuf,
    file: File,
    /// The working place in it that was made.
    work: OnceLock<File>,
}

/// A name of a file.
#[derive(Clone, Debug)]
pub struct Name {
    /// Where it stands.
    pub directory: Arc<Directory>,
    /// The last component.
    pub file: OsString,
}

/// Which file a name stands for.
pub type FileId = (u64, u64);

impl Tree {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self> {
        let root = Root::open(path)?;
        let path = root.directory().map_or(path, |(_, path)| path).to_owned();
        Ok(Self { root, path })
    }

    /// Opens a directory, a path from ROOT on.
    pub fn directory(&self, path: &Path) -> io::Result<Directory> {
        let found = self.root.find(path)?;
        let inside = found.path()?;
        // Opening something else might wait for it.
        if !found.link().metadata()?.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        let file = File::open(found.link())?;
        Ok(Directory { path: inside, file, work: OnceLock::new() })
    }

    /// Its own directory.
    pub fn top(&self) -> Result<Directory> {
        self.directory(Path::new("/")).map_err(Error::file("opened", &self.path))
    }

    /// A name, a path from ROOT on whose last component is not followed.
    pub fn name(&self, path: &Path) -> io::Result<Name> {
        let file = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let parent = path.parent().unwrap_or(Path::new("/"));
        Ok(Name { directory: Arc::new(self.directory(parent)?), file })
    }

    /// What is mounted inside it.
    pub fn mounts(&self) -> Result<Vec<Mount>> {
        let table = Path::new("/proc/self/mountinfo");
        let bytes = std::fs::read(table).map_err(Error::file("read", table))?;
        Ok(mounts::below(&bytes, &self.path))
    }
}

impl Directory {
    /// A path to `name` in this very directory, for std's functions.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        beneath::at(&self.file, name)
    }

    /// The opened directory.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes names in it last.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Makes the place for what does not have its name yet. Whoever may write here can take its name away
    /// at any time; what comes into it afterwards still comes into this very directory.
    pub fn make_work(&self, run: &RunId) -> io::Result<()> {
        let name = work_name(run);
        rustix::fs::mkdirat(&self.file, &name, Mode::RWXU)?;
        let another = || io::Error::other("another directory was put in the place of a new one");
        let work = own_work(&self.file, &name)?.ok_or_else(another)?;
        if std::fs::read_dir(beneath::link(&work))?.next().is_some() {
            return Err(another());
        }
        work.set_permissions(std::fs::Permissions::from_mode(0o700))?;
        self.work.set(work).map_err(|_| io::ErrorKind::AlreadyExists.into())
    }

    /// Removes the place that a run has made here, and what is left in it.
    pub fn remove_work(&self, run: &RunId) -> io::Result<()> {
        let name = work_name(run);
        let left = match self.work.get() {
            Some(_) => None,
            None => match own_work(&self.file, &name)? {
                None => return Ok(()),
                left => left,
            },
        };
        if let Some(work) = self.work.get().or(left.as_ref()) {
            beneath::empty(work)?;
        }
        match beneath::remove_directory(&self.file, &name) {
            // Somebody has put something else there, or taken it away.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ENOTEMPTY)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// A path of a file in the place that was made.
    pub fn work(&self, name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
        let work = self.work.get().ok_or(io::ErrorKind::NotFound)?;
        Ok(beneath::at(work, name.as_ref()))
    }
}

fn work_name(run: &RunId) -> OsString {
    format!("{WORK}{run}").into()
}

/// A directory of this name that may be a run's: not through a link, one's own, and closed to others.
fn own_work(dir: &File, name: &OsStr) -> io::Result<Option<File>> {
    let work = match beneath::directory(dir, Path::new(name)) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EACCES)
            ) =>
        {
            return Ok(None);
        }
        other => other?,
    };
    let stat = work.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    Ok((stat.uid() == own && stat.mode() & 0o077 == 0).then_some(work))
}

impl Name {
    /// For std's functions.
    pub fn at(&self) -> PathBuf {
        self.directory.at(&self.file)
    }

    /// From ROOT on.
    pub fn path(&self) -> PathBuf {
        self.directory.path.join(&self.file)
    }
}

/// Which file it is.
pub fn id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// Something in a tree.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is called; it may be something else meanwhile.
    pub name: Name,
    /// As it was seen.
    pub stat: Metadata,
}

/// What goes through a tree.
struct Walk {
    top: File,
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
    let top = tree.top()?.file;
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
            let opened = beneath::directory(&self.top, inside).and_then(|file| {
                let entries = std::fs::read_dir(beneath::link(&file))?;
                Ok((file, entries))
            });
            let (file, entries) = match opened {
                // Gone meanwhile, or something else now.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
                    ) =>
                {
                    continue;
                }
                other => other.map_err(Error::file("read", &tree.join(inside)))?,
            };
            let directory = Arc::new(Directory { path, file, work: OnceLock::new() });
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

    #[test]
    fn a_working_place_is_where_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("root")).unwrap();
        fs::create_dir_all(at("outside")).unwrap();
        let tree = Tree::open(&at("root")).unwrap();
        let run = RunId::new().unwrap();
        let name = work_name(&run);
        let path = at("root").join(&name);
        // What is there already is somebody else's.
        fs::create_dir(&path).unwrap();
        assert!(tree.top().unwrap().make_work(&run).is_err());
        fs::remove_dir(&path).unwrap();
        symlink(at("outside"), &path).unwrap();
        tree.top().unwrap().remove_work(&run).unwrap();
        assert!(path.is_symlink());
        fs::remove_file(&path).unwrap();
        let top = tree.top().unwrap();
        top.make_work(&run).unwrap();
        fs::rename(&path, at("root/moved")).unwrap();
        symlink(at("outside"), &path).unwrap();
        fs::write(top.work("new").unwrap(), "").unwrap();
        assert!(at("root/moved/new").exists());
        top.remove_work(&run).unwrap();
        assert!(path.is_symlink() && fs::read_dir(at("outside")).unwrap().next().is_none());
        // What an ended run left.
        fs::remove_file(&path).unwrap();
        tree.top().unwrap().make_work(&run).unwrap();
        fs::write(path.join("left"), "").unwrap();
        tree.top().unwrap().remove_work(&run).unwrap();
        assert!(!path.exists());
    }
}

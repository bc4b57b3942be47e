//! A directory of a tree, opened once, and the working place in it: a directory for what does not have its
//! name yet.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::Mode;
use statify_files::beneath;

use super::run_id::RunId;

/// What the directories, beside the programs, for what does not have its name yet are called; behind it
/// comes the run that made them. What is called so and is not named by the journal is the tree's own.
const WORK: &str = ".rootfs-tools-work-";

/// A directory of a tree.
#[derive(Debug)]
pub struct Directory {
    /// From ROOT on, without symbolic links.
    pub path: PathBuf,
    file: File,
    /// The working place in it that was made.
    work: OnceLock<File>,
}

impl Directory {
    /// The directory `file`, which is `path` from ROOT on.
    pub(crate) fn new(path: PathBuf, file: File) -> Self {
        Self { path, file, work: OnceLock::new() }
    }

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
    pub(crate) fn make_work(&self, run: &RunId) -> io::Result<()> {
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
    pub(crate) fn remove_work(&self, run: &RunId) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tree::Tree;

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

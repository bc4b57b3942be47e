//! The pool gets its files: copies of the tree's libraries, made in a place that is nobody else's, hashed there, and then given
//! their names.
//!
//! They are copies, or clones where the file system can make such, and no other names of the libraries: who writes into a library
//! would write into the pool, and programs would map what is not what its name says. A start looks at who could have written
//! to a file, and not at what is in it.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::RenameFlags;
use rustix::io::Errno;
use statify::Pool;
use statify_files::{contents, metadata};
use statify_room::Root;

use super::place::own;
use crate::error::pool::Fault;
use crate::error::{Error, Result};
use crate::journal::record::{Converted, Pooled, Record, is_pooled_name};
use crate::journal::recorder::Recorder;
use crate::tree::{Directory, Tree};

/// The pool of a run.
#[derive(Debug)]
pub(crate) struct Filler {
    root: Root,
    directory: Arc<Directory>,
    /// Files that are there, by name.
    there: HashSet<String>,
    /// Libraries that are not what was embedded any more.
    changed: BTreeSet<(String, PathBuf)>,
}

/// A file that is complete and does not have its name yet.
struct New {
    name: String,
    work: PathBuf,
    size: u64,
}

impl Filler {
    /// For the pool `directory` of `tree`, which has a working place.
    pub fn new(tree: &Tree, directory: Arc<Directory>) -> Self {
        let root = tree.root.clone();
        Self { root, directory, there: HashSet::new(), changed: BTreeSet::new() }
    }

    /// Sees to it that what these programs look for is there, on the disk; it is written down before.
    pub fn fill<'a>(
        &mut self,
        programs: impl Iterator<Item = &'a Converted>,
        recorder: &mut Recorder,
    ) -> Result<()> {
        let path = self.directory.path.clone();
        let mut new = Vec::new();
        for file in programs.flat_map(|program| &program.files) {
            let Some(name) = file.pooled.as_deref().filter(|name| is_pooled_name(name)) else {
                continue;
            };
            if self.there.contains(name) || new.iter().any(|new: &New| new.name == name) {
                continue;
            }
            match self.look(name).map_err(|fault| Error::Pool(path.clone(), fault))? {
                true => drop(self.there.insert(name.to_owned())),
                false => {
                    let source = Path::new(&file.path);
                    let made = self.make(name, source);
                    let made = made.map_err(|error| self.stopped(error))?;
                    if made.is_none() {
                        self.changed.insert((name.to_owned(), source.to_owned()));
                    }
                    new.extend(made);
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let pooled =
            |new: &New| Record::Pooled(Pooled { path: path.join(&new.name), size: new.size });
        recorder.append(&new.iter().map(pooled).collect::<Vec<_>>())?;
        for New { name, work, .. } in new {
            give_name(&work, &self.directory, &name).map_err(|error| self.stopped(error))?;
            self.there.insert(name);
        }
        self.directory.sync().map_err(|error| self.stopped(error))
    }

    /// What a user should know at the end, each in a sentence.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        let missing = self.changed.iter().filter(|(name, _)| !self.there.contains(name));
        for (_, path) in missing {
            notices.push(format!(
                "{}: it is not what was embedded any more, so it is not in the pool; programs use their own pages",
                path.display()
            ));
        }
        if !rustix::process::geteuid().is_root() && !self.there.is_empty() {
            notices.push(format!(
                "{}: only root can make a pool that programs trust, so they work, but take nothing from this one, until it, its \
                 files and all directories that lead to it belong to root (chown)",
                self.directory.path.display()
            ));
        }
        notices
    }

    fn stopped(&self, source: io::Error) -> Error {
        Error::Stopped { path: self.directory.path.clone(), source }
    }

    /// Whether there is such a file, as starters want it.
    fn look(&self, name: &str) -> Result<bool, Fault> {
        let forged = |why| Fault::Forged(name.to_owned(), why);
        let path = self.directory.at(name);
        let stat = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(|error| Fault::File("read", error))?,
        };
        if !stat.is_file() {
            return Err(forged("is no regular file"));
        }
        let file = contents::open(&path).map_err(|error| Fault::File("read", error))?;
        let stat = file.metadata().map_err(|error| Fault::File("read", error))?;
        let why = Pool::distrust(stat.uid(), stat.mode());
        if let Some(why) = why.filter(|_| rustix::process::geteuid().is_root()) {
            return Err(forged(why));
        }
        match contents::sha256(&file).map_err(|error| Fault::File("read", error))? == name {
            true => Ok(true),
            false => Err(forged("is not what its name, a SHA-256, says")),
        }
    }

    /// Makes the file `name` of a library, in the working place, on the disk. `None` if the library is another one now.
    fn make(&self, name: &str, source: &Path) -> io::Result<Option<New>> {
        let Some(library) = self.open(source) else {
            return Ok(None);
        };
        let work = self.directory.work(name)?;
        let _ = std::fs::remove_file(&work);
        let file = contents::copy(&library, &work)?;
        // Nobody else can write to it, so what is hashed is what is there.
        if contents::sha256(&file)? != name {
            std::fs::remove_file(&work)?;
            return Ok(None);
        }
        let stat = library.metadata()?;
        let (_, group) = own();
        if file.metadata()?.gid() != group {
            std::os::unix::fs::fchown(&file, None, Some(group))?;
        }
        file.set_permissions(Permissions::from_mode(Pool::FILE_MODE))?;
        let times = [(stat.atime(), stat.atime_nsec()), (stat.mtime(), stat.mtime_nsec())];
        metadata::set_times(&work, times[0], times[1])?;
        file.sync_all()?;
        Ok(Some(New { name: name.to_owned(), work, size: file.metadata()?.len() }))
    }

    /// A library of the tree, if it is there.
    fn open(&self, path: &Path) -> Option<File> {
        let found = self.root.find(path).ok()?;
        let is_file = found.link().metadata().is_ok_and(|stat| stat.is_file());
        is_file.then(|| File::open(found.link()).ok()).flatten()
    }
}

/// Gives a file its name in the pool, which stands for nothing.
fn give_name(work: &Path, directory: &Directory, name: &str) -> io::Result<()> {
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(rustix::fs::CWD, work, directory.file(), name, flags) {
        // The file system does not know how to.
        Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(work, directory.at(name)),
        other => Ok(other?),
    }
}

//! Originals give way to converted programs: kept, written down, and then renamed over, many at once
//! between two flushes of the disk.
//!
//! Whenever this ends, each name stands for the original or for the complete converted program: that
//! is on the disk with all its metadata before a journal speaks of it, the journals before the first
//! name changes, and a name changes by rename(2). What is to be kept is written down outside of the tree
//! before it is kept, so that nothing is there that nobody knows.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statify_files::contents;

use super::give_names::give_names;
use super::stop::Stop;
use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::journal::backup::Backup;
use crate::journal::record::{Converted, Failure, Original, Record, Replacement};
use crate::journal::recorder::Recorder;
use crate::measure::size::BLOCK;
use crate::pool::fill::Filler;
use crate::tree::{self, Directory, Name};

/// A complete converted program that does not have its names yet.
#[derive(Debug)]
pub struct Ready {
    /// The original's names.
    pub names: Vec<Name>,
    /// The original as it was found.
    pub stat: Metadata,
    /// The original.
    pub original: Original,
    /// The converted program.
    pub converted: Converted,
    /// Its place for now, beside the first name.
    pub work: PathBuf,
}

/// A replacement, with what takes the names.
type Agreed = (Replacement, Ready);

/// What becomes of originals.
#[derive(Debug)]
pub enum Keep {
    /// Originals are kept here.
    In(Backup),
    /// Originals are in the tree that this one is a copy of.
    InSource,
    /// Originals are gone.
    Not,
}

/// Replaces in one tree.
#[derive(Debug)]
pub(crate) struct Replacer<'a> {
    /// Where it is written down.
    pub recorder: &'a mut Recorder,
    /// Where originals go.
    pub keep: &'a mut Keep,
    /// What fills the pool, if there is one.
    pub pool: Option<&'a mut Filler>,
    /// The next replacement's number.
    pub next_id: u64,
}

impl Replacer<'_> {
    /// Replaces all of `batch`. Those that could not be are returned; an error ends the run.
    pub fn replace(&mut self, batch: Vec<Ready>) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        let promised = self.promise(batch, &mut failures)?;
        let agreed = self.keep_all(promised, &mut failures)?;
        if let Some(pool) = &mut self.pool {
            // So no program has its names before it has its pool.
            pool.fill(agreed.iter().map(|(one, _)| &one.converted), self.recorder)?;
        }
        let records: Vec<_> = agreed.iter().map(|(one, _)| Record::Replace(one.clone())).collect();
        self.recorder.append(&records)?;
        let mut done = rename_all(agreed, &mut failures)?;
        done.extend(failures.iter().cloned().map(Record::Failed));
        self.recorder.append(&done)?;
        Ok(failures)
    }

    /// Says of each where its original will be kept, and writes that down outside of the tree.
    fn promise(&mut self, batch: Vec<Ready>, failures: &mut Vec<Failure>) -> Result<Vec<Agreed>> {
        let mut promised = Vec::new();
        for mut ready in batch {
            match self.prepare(&mut ready) {
                Ok(kept) => {
                    let id = self.next_id;
                    self.next_id += 1;
                    let replacement = Replacement {
                        id,
                        names: paths(&ready),
                        original: ready.original.clone(),
                        converted: ready.converted.clone(),
                        kept,
                    };
                    promised.push((replacement, ready));
                }
                Err(Stop::Run(error)) => return Err(error),
                Err(Stop::Program(reason)) => failures.push(give_up(&ready, reason)),
            }
        }
        let records: Vec<_> =
            promised.iter().map(|(one, _)| Record::Replace(one.clone())).collect();
        self.recorder.vouch(&records)?;
        Ok(promised)
    }

    /// Keeps the originals. Returns those that are kept, on the disk.
    fn keep_all(
        &mut self,
        promised: Vec<Agreed>,
        failures: &mut Vec<Failure>,
    ) -> Result<Vec<Agreed>> {
        let mut agreed = Vec::new();
        let mut given_up = Vec::new();
        for (replacement, ready) in promised {
            match self.keep(&ready, replacement.kept.as_deref()) {
                Ok(()) => agreed.push((replacement, ready)),
                Err(Stop::Run(error)) => return Err(error),
                Err(Stop::Program(reason)) => {
                    failures.push(give_up(&ready, reason));
                    given_up.push(Record::Restored { id: replacement.id });
                }
            }
        }
        self.recorder.vouch(&given_up)?;
        if let Keep::In(backup) = self.keep {
            let synced = backup.sync();
            synced.map_err(|source| Error::Stopped { path: backup.place.path.clone(), source })?;
        }
        Ok(agreed)
    }

    /// What can be refused is refused before any of its names changes.
    fn prepare(&mut self, ready: &mut Ready) -> Result<Option<PathBuf>, Stop> {
        for name in &ready.names {
            if !is_unchanged(&name.at(), &ready.stat, true) {
                return Err(Stop::Program(Reason::changed(&name.path())));
            }
        }
        let first = &ready.names[0];
        // Here, as the next programs are converted meanwhile.
        let stat = to_disk(&ready.work)
            .map_err(|error| Stop::at(first.path(), &first.path(), "written", error))?;
        ready.converted.allocated = stat.blocks() * BLOCK;
        match self.keep {
            Keep::Not => Ok(None),
            Keep::InSource => Ok(Some(first.path())),
            Keep::In(backup) => {
                let promised = backup.promise(first, &ready.original.sha256);
                promised.map(Some).map_err(|error| not_kept(backup, first, error))
            }
        }
    }

    fn keep(&mut self, ready: &Ready, kept: Option<&Path>) -> Result<(), Stop> {
        let (Keep::In(backup), Some(kept)) = (&mut *self.keep, kept) else {
            return Ok(());
        };
        let first = &ready.names[0];
        let done = backup.keep(first, kept);
        done.map_err(|error| not_kept(backup, first, error))
    }
}

/// Gives converted programs their names, and makes that last. Returns what is to be written down.
fn rename_all(agreed: Vec<Agreed>, failures: &mut Vec<Failure>) -> Result<Vec<Record>> {
    let mut done = Vec::new();
    let mut directories: BTreeMap<PathBuf, Arc<Directory>> = BTreeMap::new();
    for (replacement, ready) in agreed {
        for name in &ready.names {
            directories.insert(name.directory.path.clone(), name.directory.clone());
        }
        let path = ready.names[0].path();
        match rename(&ready).map_err(|error| Stop::at(path.clone(), &path, "replaced", error)) {
            Ok(()) => done.push(Record::Replaced { id: replacement.id }),
            Err(Stop::Run(error)) => return Err(error),
            Err(Stop::Program(reason)) => failures.push(give_up(&ready, reason)),
        }
    }
    for directory in directories.values() {
        directory.sync().map_err(Error::file("written", &directory.path))?;
    }
    Ok(done)
}

fn not_kept(backup: &Backup, name: &Name, error: io::Error) -> Stop {
    Stop::at(backup.place.path.clone(), &name.path(), "kept in the backup", error)
}

fn paths(ready: &Ready) -> Vec<PathBuf> {
    ready.names.iter().map(Name::path).collect()
}

fn give_up(ready: &Ready, reason: Reason) -> Failure {
    let _ = std::fs::remove_file(&ready.work);
    Failure::new(paths(ready), reason)
}

/// Whether the file is as it was found. Another name of it, as keeping it makes one, changes its ctime.
fn is_unchanged(path: &Path, stat: &Metadata, with_ctime: bool) -> bool {
    let traits = |stat: &Metadata| {
        let modified = (stat.mtime(), stat.mtime_nsec());
        let changed = (stat.ctime(), stat.ctime_nsec());
        (tree::id(stat), stat.len(), modified, with_ctime.then_some(changed))
    };
    path.symlink_metadata().is_ok_and(|now| traits(&now) == traits(stat))
}

fn to_disk(path: &Path) -> io::Result<Metadata> {
    let file = contents::open(path)?;
    file.sync_all()?;
    file.metadata()
}

fn rename(ready: &Ready) -> io::Result<()> {
    for name in &ready.names {
        if !is_unchanged(&name.at(), &ready.stat, false) {
            return Err(io::Error::other("it was changed meanwhile"));
        }
    }
    give_names(&ready.work, ready.names.iter())
}

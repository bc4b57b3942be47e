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

use crate::backup::Backup;
use crate::error::{Error, Result};
use crate::failure::{Failure, stops_the_run};
use crate::journal::record::{Converted, Failed, Original, Record, Replacement};
use crate::measure::BLOCK;
use crate::recorder::Recorder;
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

/// What becomes of originals.
#[derive(Debug)]
pub enum Keep {
    /// They are kept here.
    In(Backup),
    /// They are in the tree that this one is a copy of.
    InSource,
    /// They are gone.
    Not,
}

/// Replaces in one tree.
#[derive(Debug)]
pub struct Replacer<'a> {
    /// Where it is written down.
    pub recorder: &'a mut Recorder,
    /// Where originals go.
    pub keep: &'a mut Keep,
    /// The next replacement's number.
    pub next_id: u64,
}

impl Replacer<'_> {
    /// Replaces all of `batch`. Those that could not be are returned; an error ends the run.
    pub fn replace(&mut self, batch: Vec<Ready>) -> Result<Vec<Failed>> {
        let mut failed = Vec::new();
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
                Err(Refusal::Stop(error)) => return Err(error),
                Err(Refusal::One(failure)) => failed.push(give_up(&ready, failure)),
            }
        }
        let record = |replacement: &Replacement| Record::Replace(replacement.clone());
        self.recorder.vouch(&promised.iter().map(|(one, _)| record(one)).collect::<Vec<_>>())?;
        let mut records = Vec::new();
        let mut agreed = Vec::new();
        let mut given_up = Vec::new();
        for (replacement, ready) in promised {
            match self.keep(&ready, replacement.kept.as_deref()) {
                Ok(()) => {
                    records.push(record(&replacement));
                    agreed.push((replacement.id, ready));
                }
                Err(Refusal::Stop(error)) => return Err(error),
                Err(Refusal::One(failure)) => {
                    failed.push(give_up(&ready, failure));
                    given_up.push(Record::Restored { id: replacement.id });
                }
            }
        }
        self.recorder.vouch(&given_up)?;
        if let Keep::In(backup) = self.keep {
            let synced = backup.sync();
            synced.map_err(|source| Error::Stopped { path: backup.place.path.clone(), source })?;
        }
        self.recorder.append(&records)?;
        let mut done = Vec::new();
        let mut directories: BTreeMap<PathBuf, Arc<Directory>> = BTreeMap::new();
        for (id, ready) in agreed {
            for name in &ready.names {
                directories.insert(name.directory.path.clone(), name.directory.clone());
            }
            match rename(&ready) {
                Ok(()) => done.push(Record::Replaced { id }),
                Err(error) if stops_the_run(&error) => {
                    return Err(Error::Stopped { path: ready.names[0].path(), source: error });
                }
                Err(error) => {
                    let path = ready.names[0].path();
                    failed.push(give_up(&ready, Failure::file(&path, "replaced", &error)));
                }
            }
        }
        for directory in directories.values() {
            directory.sync().map_err(Error::file("written", &directory.path))?;
        }
        let failures = failed.iter().cloned().map(Record::Failed);
        done.extend(failures);
        self.recorder.append(&done)?;
        Ok(failed)
    }

    /// What can be refused is refused before any of its names changes.
    fn prepare(&mut self, ready: &mut Ready) -> Result<Option<PathBuf>, Refusal> {
        for name in &ready.names {
            if !is_unchanged(&name.at(), &ready.stat, true) {
                return Err(Refusal::One(Failure::changed(&name.path())));
            }
        }
        let first = &ready.names[0];
        // Here, as the next programs are converted meanwhile.
        let stat = to_disk(&ready.work).map_err(|error| {
            if stops_the_run(&error) {
                Refusal::Stop(Error::Stopped { path: first.path(), source: error })
            } else {
                Refusal::One(Failure::file(&first.path(), "written", &error))
            }
        })?;
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

    fn keep(&mut self, ready: &Ready, kept: Option<&Path>) -> Result<(), Refusal> {
        let (Keep::In(backup), Some(kept)) = (&mut *self.keep, kept) else {
            return Ok(());
        };
        let first = &ready.names[0];
        let done = backup.keep(first, kept);
        done.map_err(|error| not_kept(backup, first, error))
    }
}

enum Refusal {
    Stop(Error),
    One(Failure),
}

fn not_kept(backup: &Backup, name: &Name, error: io::Error) -> Refusal {
    if stops_the_run(&error) {
        Refusal::Stop(Error::Stopped { path: backup.place.path.clone(), source: error })
    } else {
        Refusal::One(Failure::file(&name.path(), "kept in the backup", &error))
    }
}

fn paths(ready: &Ready) -> Vec<PathBuf> {
    ready.names.iter().map(Name::path).collect()
}

fn give_up(ready: &Ready, failure: Failure) -> Failed {
    let _ = std::fs::remove_file(&ready.work);
    let Failure { reason, message } = failure;
    Failed { names: paths(ready), reason: reason.into(), message }
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

/// Gives the file `work` these names, and takes its own away.
pub fn give_names<'a>(work: &Path, names: impl Iterator<Item = &'a Name>) -> io::Result<()> {
    let mut names = names.peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return std::fs::rename(work, name.at());
        }
        let mut another = work.as_os_str().to_owned();
        another.push(".name");
        let another = PathBuf::from(another);
        match std::fs::remove_file(&another) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        std::fs::hard_link(work, &another)?;
        std::fs::rename(&another, name.at())?;
    }
    Ok(())
}

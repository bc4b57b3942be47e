//! Every original put back, with all that belonged to it; what was kept and the journals go then. Where an
//! original is, and what, is told by what lies outside of the tree ([`crate::journal::told`]).

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use statify_files::metadata::{Contents, Metadata};
use statify_files::trusted::{self, Place, Way};
use statify_files::{beneath, contents};

use super::give_names::give_names;
use super::{recover, times};
use crate::error::{Error, Result};
use crate::journal::record::{Begin, Original, Record, Replacement};
use crate::journal::state::{self, State};
use crate::journal::told::{self, Kept};
use crate::journal::{self, Journal, backup, history, ledger};
use crate::pool::clear;
use crate::tree::lock::Lock;
use crate::tree::run_id::RunId;
use crate::tree::{FileId, Name, Tree};

/// What is asked of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tree.
    pub root: PathBuf,
    /// Where the originals are now, if not where they were: the backup directory, or the tree that this one
    /// is a copy of.
    pub backup: Option<PathBuf>,
    /// The running system's own root is meant.
    pub i_know: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Programs that are originals again.
    pub restored: usize,
    /// Sentences about those that are not.
    pub failures: Vec<String>,
}

/// Puts the originals back.
pub fn restore(options: &Options) -> Result<Outcome> {
    let tree = Tree::open(&options.root)?;
    if tree.path == Path::new("/") && !options.i_know {
        return Err(Error::RunningSystem(options.root.clone()));
    }
    let _lock = Lock::exclusive(&tree)?;
    journal::read(&tree)?;
    let (mut journal, records) = Journal::open(&tree)?;
    let told = told::tell(&tree, &records, options.backup.as_deref());
    recover::remove_work(&tree, &records)?;
    let mut outcome = Outcome::default();
    let mut without = 0;
    let mut newer: BTreeSet<&Path> = BTreeSet::new();
    for (replacement, kept) in told.steps.iter().rev() {
        let names: Vec<_> =
            replacement.names.iter().filter(|path| !newer.contains(path.as_path())).collect();
        newer.extend(replacement.names.iter().map(PathBuf::as_path));
        // There is a replacement, so there was a run.
        let Some(run) = history::last_run(&records) else {
            continue;
        };
        match put_back(&tree, replacement, &names, kept, run) {
            Ok(Put::Back) => {
                outcome.restored += 1;
                journal.append(&[Record::Restored { id: replacement.id }])?;
            }
            Ok(Put::WasThere) => {}
            Ok(Put::NotKept) => without += 1,
            Err(failure) => outcome.failures.push(failure),
        }
    }
    let is_back = without == 0 && outcome.failures.is_empty();
    if is_back {
        // No program looks for it any more.
        outcome.failures.extend(clear::clear(&tree, &records));
    }
    if is_back && outcome.failures.is_empty() {
        for (place, kept) in &told.backups {
            backup::remove(place, kept)?;
        }
        // Before nobody knows them any more.
        times::set_back(&tree, &records);
        // The journal's end may last, and what came before it not: fsync(2) is about one directory.
        sync_file_system(tree.top()?.file(), &tree.path)?;
        drop(journal);
        journal::remove(&tree)?;
        if history::runs(&records).any(|run| run.source.is_some()) {
            forget_copy(&tree, &records)?;
        }
    }
    // The journal was in ROOT.
    times::set_back(&tree, &records);
    match without {
        0 => Ok(outcome),
        count => Err(Error::NoBackup(tree.path, count)),
    }
}

/// Removes the journal beside a copy, if it is of this one.
fn forget_copy(tree: &Tree, records: &[Record]) -> Result<()> {
    let Ok(entry) = trusted::parent(&tree.path, Way::Ours) else {
        return Ok(());
    };
    let of_this = |run: &Begin| history::runs(records).any(|own| own.id == run.id);
    match ledger::read_beside(&entry.parent, &entry.name) {
        Ok(journal) if history::runs(&journal).any(of_this) => {
            ledger::remove_beside(&entry.parent, &entry.name)
        }
        _ => Ok(()),
    }
}

/// Makes all last that was done in the file system of this directory.
fn sync_file_system(directory: &File, path: &Path) -> Result<()> {
    let synced = rustix::fs::syncfs(directory).map_err(io::Error::from);
    synced.map_err(Error::file("written", path))
}

enum Put {
    Back,
    WasThere,
    NotKept,
}

/// Errors are sentences.
fn put_back(
    tree: &Tree,
    replacement: &Replacement,
    names: &[&PathBuf],
    kept: &Kept,
    run: &RunId,
) -> Result<Put, String> {
    let mut wrong: Vec<Name> = Vec::new();
    let mut original: Option<(FileId, Name)> = None;
    let mut others = Vec::new();
    for path in names {
        let path = path.as_path();
        let failed = |error: io::Error| format!("{}: it cannot be read: {error}", path.display());
        let name = tree.name_if_there(path).map_err(failed)?;
        let state = name.as_ref().map(|name| state::of(name, replacement)).transpose();
        match (state.map_err(failed)?, name) {
            (Some(State::Converted(_)), Some(name)) => wrong.push(name),
            (Some(State::Original(id)), Some(name)) => match &original {
                // Two files of the same contents where there was one.
                Some((known, _)) if *known != id => wrong.push(name),
                Some(_) => {}
                None => original = Some((id, name)),
            },
            _ => others.push(path),
        }
    }
    if wrong.is_empty() && others.is_empty() {
        return Ok(Put::WasThere);
    }
    if !wrong.is_empty() {
        let before = &replacement.original;
        let result = match (&original, kept, &replacement.kept) {
            (Some((_, name)), ..) => undo(run, &wrong, |work| std::fs::hard_link(name.at(), work)),
            (None, Kept::Backup(place), Some(kept)) => {
                undo(run, &wrong, |work| link_or_copy(place, kept, before, work))
            }
            (None, Kept::Source(source), Some(kept)) => undo(run, &wrong, |work| {
                let name = source.name(kept)?;
                let file = contents::open(&name.at())?;
                copy(&file, before, work, &kept.display())
            }),
            (None, Kept::Unknown(why), _) => Err(io::Error::other(why.to_string())),
            _ => return Ok(Put::NotKept),
        };
        result.map_err(|error| {
            format!("{}: its original cannot be put back: {error}", wrong[0].path().display())
        })?;
    }
    match others.first() {
        None => Ok(Put::Back),
        Some(path) => Err(format!(
            "{}: it is neither the converted program nor the original any more, and stays as it is",
            path.display()
        )),
    }
}

/// Gives the file that `make` makes these names.
fn undo(run: &RunId, names: &[Name], make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let directory = &names[0].directory;
    directory.remove_work(run)?;
    directory.make_work(run)?;
    let work = directory.work("original")?;
    let given = make(&work).and_then(|()| give_names(&work, names.iter()));
    // Whatever it came to, nothing is left that is not the original.
    let removed = directory.remove_work(run);
    given.and(removed)?;
    for name in names {
        name.directory.sync()?;
    }
    Ok(())
}

fn link_or_copy(place: &Place, kept: &Path, original: &Original, work: &Path) -> io::Result<()> {
    let shown = place.path.join(kept);
    let file = beneath::file(&place.dir, kept)?;
    if !state::is(&file, original)? {
        return Err(not_the_original(&shown.display()));
    }
    // This very file, whatever has its name by now.
    let link = beneath::link(&file);
    match rustix::fs::linkat(CWD, &link, CWD, work, AtFlags::SYMLINK_FOLLOW) {
        Err(Errno::XDEV) => copy(&file, original, work, &shown.display()),
        other => Ok(other?),
    }
}

/// Makes the new file `work` a copy of one with these contents. They are looked at before anything is
/// written, and the copy is afterwards.
fn copy(from: &File, original: &Original, work: &Path, shown: &dyn Display) -> io::Result<()> {
    if !state::is(from, original)? {
        return Err(not_the_original(shown));
    }
    let metadata = Metadata::of_open(from)?;
    let file = contents::copy(from, work)?;
    if !state::is(&file, original)? {
        return Err(not_the_original(shown));
    }
    metadata.give_to(work, Contents::Same)?;
    file.sync_all()
}

fn not_the_original(shown: &dyn Display) -> io::Error {
    io::Error::other(format!("what is kept at {shown} was changed"))
}

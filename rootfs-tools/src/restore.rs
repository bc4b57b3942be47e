//! Every original put back, with all that belonged to it; what was kept and the journal go then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::backup;
use crate::convert::set_back_times;
use crate::error::{Error, Result};
use crate::journal::record::{Begin, Record, Replacement};
use crate::journal::{self, Journal};
use crate::lock::Lock;
use crate::recover;
use crate::replace::give_names;
use crate::state::{self, State};
use crate::tree::{FileId, Name, Tree};

/// What is asked of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tree.
    pub root: PathBuf,
    /// Where the originals are now, if not where the journal says.
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
    pub problems: Vec<String>,
}

/// Where the originals of a run are.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// In this directory.
    Backup(PathBuf),
    /// In another tree, which stays as it is.
    Source(PathBuf),
    /// They are lost.
    Nowhere,
}

/// Puts the originals back.
pub fn restore(options: &Options) -> Result<Outcome> {
    let tree = Tree::open(&options.root)?;
    if tree.path == Path::new("/") && !options.i_know {
        return Err(Error::RunningSystem(options.root.clone()));
    }
    let _lock = Lock::exclusive(&tree.path)?;
    journal::read(&tree.path)?;
    let (mut journal, records) = Journal::open(&tree.path)?;
    let steps = steps(&records, options.backup.as_deref());
    recover::remove_work(&tree, &records)?;
    let mut outcome = Outcome::default();
    let mut without = 0;
    let mut newer: BTreeSet<&Path> = BTreeSet::new();
    for (replacement, kept) in &steps {
        let names: Vec<_> =
            replacement.names.iter().filter(|path| !newer.contains(path.as_path())).collect();
        newer.extend(replacement.names.iter().map(PathBuf::as_path));
        match put_back(&tree, replacement, &names, kept) {
            Ok(Put::Back) => {
                outcome.restored += 1;
                journal.append(&[Record::Restored { id: replacement.id }])?;
            }
            Ok(Put::WasThere) => {}
            Ok(Put::NotKept) => without += 1,
            Err(problem) => outcome.problems.push(problem),
        }
    }
    let complete = without == 0 && outcome.problems.is_empty();
    if complete {
        for (root, kept) in kept_files(&records, &steps, options) {
            // The directory itself may be removed; without it there is nothing to be removed.
            let directory = File::open(&root).ok();
            backup::remove(&root, &kept, &tree).map_err(Error::file("removed", &root))?;
            directory.map_or(Ok(()), |directory| sync_file_system(&directory, &root))?;
        }
        // Before nobody knows them any more.
        set_back_times(&tree, &records);
        // The journal's end may last, and what came before it not: fsync(2) is about one directory.
        let directory = File::open(&tree.path).map_err(Error::file("read", &tree.path))?;
        sync_file_system(&directory, &tree.path)?;
        drop(journal);
        journal::remove(&tree.path)?;
    }
    // The journal was in ROOT.
    set_back_times(&tree, &records);
    match without {
        0 => Ok(outcome),
        count => Err(Error::NoBackup(tree.path, count)),
    }
}

/// Makes all last that was done in the file system of this directory.
fn sync_file_system(directory: &File, path: &Path) -> Result<()> {
    let synced = rustix::fs::syncfs(directory).map_err(io::Error::from);
    synced.map_err(Error::file("written", path))
}

/// All replacements, the latest first, each with where its original is; those of backup directories
/// are in `backup` now, if that is given.
pub(crate) fn steps<'a>(
    records: &'a [Record],
    backup: Option<&Path>,
) -> Vec<(&'a Replacement, Kept)> {
    let mut kept = Kept::Nowhere;
    let mut steps = Vec::new();
    for record in records {
        match record {
            Record::Begin(begin) => {
                kept = match (&begin.source, &begin.backup) {
                    (Some(source), _) => Kept::Source(source.clone()),
                    (None, Some(backup)) => Kept::Backup(backup.clone()),
                    (None, None) => Kept::Nowhere,
                };
                if let (Kept::Backup(_), Some(now)) = (&kept, backup) {
                    kept = Kept::Backup(now.to_owned());
                }
            }
            Record::Replace(replacement) => steps.push((replacement, kept.clone())),
            _ => {}
        }
    }
    steps.reverse();
    steps
}

/// All backup directories, and what is kept in each.
fn kept_files(
    records: &[Record],
    steps: &[(&Replacement, Kept)],
    options: &Options,
) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let mut all: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    for record in records {
        if let Record::Begin(Begin { backup: Some(backup), .. }) = record {
            all.entry(options.backup.as_ref().unwrap_or(backup).clone()).or_default();
        }
    }
    for (replacement, kept) in steps {
        if let (Kept::Backup(root), Some(path)) = (kept, &replacement.kept) {
            all.entry(root.clone()).or_default().insert(path.clone());
        }
    }
    all
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
) -> Result<Put, String> {
    let mut wrong: Vec<Name> = Vec::new();
    let mut original: Option<(FileId, Name)> = None;
    let mut others = Vec::new();
    for path in names {
        let path = path.as_path();
        let failed = |error: io::Error| format!("{}: it cannot be read: {error}", path.display());
        let name = recover::find(tree, path).map_err(failed)?;
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
        let result = match (&original, kept, &replacement.kept) {
            (Some((_, name)), ..) => undo(&wrong, |work| std::fs::hard_link(name.at(), work)),
            (None, Kept::Backup(root), Some(kept)) => {
                let kept = root.join(kept);
                undo(&wrong, |work| link_or_copy(&kept, &replacement.original.sha256, work))
            }
            (None, Kept::Source(root), Some(kept)) => {
                let source = Tree::open(root).map_err(|error| error.to_string())?;
                undo(&wrong, |work| {
                    let name = source.name(kept)?;
                    copy(&name.at(), &replacement.original.sha256, work)
                })
            }
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
fn undo(names: &[Name], make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let directory = &names[0].directory;
    directory.remove_work()?;
    directory.make_work()?;
    let work = directory.work("original");
    make(&work)?;
    give_names(&work, names.iter())?;
    for name in names {
        name.directory.sync()?;
    }
    directory.remove_work()
}

fn link_or_copy(kept: &Path, sha256: &str, work: &Path) -> io::Result<()> {
    if !state::holds(kept, sha256)? {
        return Err(not_the_original(kept));
    }
    match std::fs::hard_link(kept, work) {
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => copy(kept, sha256, work),
        other => other,
    }
}

fn copy(kept: &Path, sha256: &str, work: &Path) -> io::Result<()> {
    let file: File = backup::copy(kept, work)?;
    match crate::contents::sha256(&file)? == sha256 {
        true => Ok(()),
        false => Err(not_the_original(kept)),
    }
}

fn not_the_original(kept: &Path) -> io::Error {
    io::Error::other(format!("what is kept at {} was changed", kept.display()))
}

//! What is outside of a tree and tells what is true of it: a journal in the backup directory, or beside a
//! copy. It says which runs it is of, which files are kept, and the hash of each; it is written before the
//! tree's own journal is, and lies where only root and the user of this tool can write.
//!
//! A tree is whoever's who can write to it, such as root in a guest, and so is its journal: that is where a
//! backup is looked for, and what it says of runs that have kept nothing elsewhere. A directory whose own
//! journal does not name the run is no backup.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statify_files::beneath;
use statify_files::trusted::{self, Place, Way};

use crate::error::{Error, Result};
use crate::journal::record::{Begin, Record, Replacement};
use crate::journal::{self, Journal};
use crate::run_id::RunId;
use crate::tree::Tree;

/// The directory in a backup that holds its journal, and copies that are not complete.
pub const STATE: &str = ".rootfs-tools-backup";
/// The journal's name in it.
pub const NAME: &str = "journal";

/// Where an original is.
#[derive(Clone, Debug)]
pub enum Kept {
    /// In this backup directory.
    Backup(Arc<Place>),
    /// In another tree, which stays as it is.
    Source(Arc<Tree>),
    /// It was not kept.
    Nowhere,
    /// It is not known, for the reason that this sentence gives.
    Unknown(Arc<str>),
}

/// What is true of a tree.
#[derive(Debug, Default)]
pub struct Told {
    /// Each replacement with where its original is, the first one first.
    pub steps: Vec<(Replacement, Kept)>,
    /// The backups that belong to the tree, each with the files that it is known to have.
    pub backups: Vec<(Arc<Place>, KeptFiles)>,
}

/// Files of a backup: their names in it, and the SHA-256 of each.
pub type KeptFiles = Vec<(PathBuf, String)>;

/// What a journal outside of a tree is called that was copied to `out`, in the directory of that.
fn beside(name: &OsStr) -> OsString {
    let mut file = OsString::from(".");
    file.push(name);
    file.push(".rootfs-tools-journal");
    file
}

/// Begins the journal beside a copy `name`, in its directory, in the place of an older copy's.
pub fn begin_beside(parent: &Place, name: &OsStr) -> Result<Journal> {
    let file = beside(name);
    let path = parent.path.join(&file);
    match beneath::remove_file(&parent.dir, &file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        other => other.map_err(Error::file("removed", &path))?,
    }
    Ok(Journal::open_in(&parent.dir, &file, &path)?.0)
}

/// Reads the journal beside a copy, which must be one's own.
pub fn read_beside(parent: &Place, name: &OsStr) -> Result<Vec<Record>> {
    let file = beside(name);
    let path = parent.path.join(&file);
    is_own(&parent.dir, &file).map_err(Error::file("believed", &path))?;
    Ok(journal::read_in(&parent.dir, &file, &path)?.unwrap_or_default())
}

/// Opens the journal beside a copy, for another run on that.
pub fn open_beside(parent: &Place, name: &OsStr) -> Result<Journal> {
    let file = beside(name);
    let path = parent.path.join(&file);
    is_own(&parent.dir, &file).map_err(Error::file("believed", &path))?;
    Ok(Journal::open_in(&parent.dir, &file, &path)?.0)
}

/// Removes the journal beside a copy.
pub fn remove_beside(parent: &Place, name: &OsStr) -> Result<()> {
    let file = beside(name);
    match beneath::remove_file(&parent.dir, &file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::file("removed", &parent.path.join(file))),
    }
}

/// A file that nobody else can have written, if there is one.
fn is_own(dir: &File, name: &OsStr) -> std::io::Result<()> {
    let file = match beneath::file(dir, Path::new(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let stat = file.metadata()?;
    if trusted::is_ours(&stat) && !trusted::others_write(&stat) {
        return Ok(());
    }
    Err(std::io::Error::other("others than you may write to it"))
}

/// Where a backup's own journal is shown to be.
pub fn path_in(backup: &Path) -> PathBuf {
    backup.join(STATE).join(NAME)
}

/// Reads the journal of a backup directory, if it has one.
pub fn read_backup(place: &Place) -> Result<Option<Vec<Record>>> {
    let path = path_in(&place.path);
    match beneath::directory(&place.dir, Path::new(STATE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => {
            let state = other.map_err(Error::file("read", &path))?;
            journal::read_in(&state, OsStr::new(NAME), &path)
        }
    }
}

/// The runs that a journal is of.
pub fn runs(records: &[Record]) -> impl Iterator<Item = &Begin> {
    records.iter().filter_map(|record| match record {
        Record::Begin(begin) => Some(begin),
        _ => None,
    })
}

/// The replacements of a journal, each with its run; but for those that were given up before anything was
/// replaced.
fn replacements(records: &[Record]) -> Vec<(&Begin, &Replacement)> {
    let given_up: BTreeSet<u64> = records
        .iter()
        .filter_map(|record| match record {
            Record::Restored { id } => Some(*id),
            _ => None,
        })
        .collect();
    let mut run = None;
    let mut found = Vec::new();
    for record in records {
        match (record, run) {
            (Record::Begin(begin), _) => run = Some(begin),
            (Record::Replace(replacement), Some(run)) if !given_up.contains(&replacement.id) => {
                found.push((run, replacement));
            }
            _ => {}
        }
    }
    found
}

/// Finds out what is true of `tree`, whose own journal says `records`. Where originals are is told by
/// `given` in place of the journal, if that is given: by whoever calls this tool.
pub fn tell(tree: &Tree, records: &[Record], given: Option<&Path>) -> Told {
    let mut told = Told::default();
    let mut asked = BTreeMap::new();
    let mut unknown: Vec<(RunId, Arc<str>)> = Vec::new();
    let has_source = runs(records).any(|run| run.source.is_some());
    if has_source {
        match of_copy(tree, records, given) {
            Ok(steps) => told.steps.extend(steps),
            Err(why) => {
                let runs = runs(records).filter(|run| run.source.is_some());
                unknown.extend(runs.map(|run| (run.id.clone(), why.clone())));
            }
        }
    }
    for run in runs(records) {
        let Some(named) = &run.backup else {
            continue;
        };
        let path = given.unwrap_or(named);
        let failed = asked.entry(path).or_insert_with(|| {
            let (place, kept) = match of_backup(tree, records, path, given.is_some()) {
                Err(why) => return Some(why),
                Ok(found) => found,
            };
            let files = kept.iter().filter_map(|replacement| {
                Some((replacement.kept.clone()?, replacement.original.sha256.clone()))
            });
            told.backups.push((place.clone(), files.collect()));
            let backup = Kept::Backup(place);
            told.steps.extend(kept.into_iter().map(|one| (one, backup.clone())));
            None
        });
        unknown.extend(failed.clone().map(|why| (run.id.clone(), why)));
    }
    // What nobody outside of the tree vouches for: what was not kept, or what somebody has written there.
    let vouched: HashSet<u64> = told.steps.iter().map(|(known, _)| known.id).collect();
    for (run, replacement) in replacements(records) {
        if vouched.contains(&replacement.id) {
            continue;
        }
        let why = unknown.iter().find(|(id, _)| *id == run.id).map(|(_, why)| why.clone());
        let kept = match (why, run.source.is_some() || run.backup.is_some()) {
            (Some(why), _) => Kept::Unknown(why),
            (None, true) => Kept::Unknown("no backup has a record of it".into()),
            (None, false) => Kept::Nowhere,
        };
        told.steps.push((replacement.clone(), kept));
    }
    told.steps.sort_by_key(|(replacement, _)| replacement.id);
    told
}

/// What the backup at `path` has kept of the tree; an error is a sentence.
fn of_backup(
    tree: &Tree,
    records: &[Record],
    path: &Path,
    is_given: bool,
) -> Result<(Arc<Place>, Vec<Replacement>), Arc<str>> {
    let shown = path.display();
    let place = trusted::own_directory(path, false).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("the backup {shown} is not there"),
        _ => format!("the backup {shown} cannot be used: {error}"),
    })?;
    if place.path.starts_with(&tree.path) {
        return Err(format!("{shown} lies in the tree, so it is no backup").into());
    }
    let journal = read_backup(&place).map_err(|error| error.to_string())?;
    let journal = journal.ok_or_else(|| {
        format!("{shown} has no record of its own (made by another version?), so it is no backup")
    })?;
    let known: BTreeSet<&RunId> = runs(records).map(|run| &run.id).collect();
    let own: Vec<&Begin> = runs(&journal).collect();
    // Begun, and ended before it had written a line.
    if !own.is_empty() && !own.iter().any(|run| known.contains(&run.id)) {
        return Err(format!("{shown} is the backup of another tree").into());
    }
    if let (false, Some(run)) = (is_given, own.iter().find(|run| is_elsewhere(tree, run))) {
        let other = run.tree.display();
        return Err(format!(
            "{shown} is the backup of {other}, of which this is a copy; give it with --backup if it is \
             meant for this one"
        )
        .into());
    }
    let kept = replacements(&journal).into_iter().map(|(_, replacement)| replacement.clone());
    let kept = kept.filter(|one| one.kept.as_deref().is_some_and(is_kept_name)).collect();
    Ok((Arc::new(place), kept))
}

/// Whether this is a name that a backup gives.
pub fn is_kept_name(path: &Path) -> bool {
    let mut parts = path.components();
    beneath::is_plain(path) && parts.next().is_some_and(|first| first.as_os_str() != STATE)
}

/// Whether the run's tree is still where it was, and that is not here.
fn is_elsewhere(tree: &Tree, run: &Begin) -> bool {
    if tree.path == run.tree {
        return false;
    }
    let other = Tree::open(&run.tree).and_then(|other| journal::read(&other));
    other.is_ok_and(|records| runs(&records).any(|known| known.id == run.id))
}

/// What the journal beside a copy says; an error is a sentence.
fn of_copy(
    tree: &Tree,
    records: &[Record],
    given: Option<&Path>,
) -> Result<Vec<(Replacement, Kept)>, Arc<str>> {
    let at_same_path = |replacement: &Replacement| {
        replacement.kept.as_ref().is_some_and(|kept| replacement.names.contains(kept))
    };
    let vouched = beside_it(tree, records);
    let (all, given) = match (&vouched, given) {
        (Ok(journal), given) => (replacements(journal), given),
        (Err(_), Some(given)) => (replacements(records), Some(given)),
        (Err(why), None) => return Err(why.clone()),
    };
    let mut sources: BTreeMap<&Path, Kept> = BTreeMap::new();
    let mut steps = Vec::new();
    for (run, replacement) in all.into_iter().filter(|(_, one)| at_same_path(one)) {
        let Some(path) = run.source.as_deref().map(|source| given.unwrap_or(source)) else {
            continue;
        };
        if !sources.contains_key(path) {
            let source = Tree::open(path).map_err(|error| error.to_string())?;
            sources.insert(path, Kept::Source(Arc::new(source)));
        }
        steps.push((replacement.clone(), sources[path].clone()));
    }
    Ok(steps)
}

/// The journal beside a copy, if it is of this one; an error is a sentence.
fn beside_it(tree: &Tree, records: &[Record]) -> Result<Vec<Record>, Arc<str>> {
    let read = || {
        let entry = trusted::parent(&tree.path, Way::Ours)?;
        read_beside(&entry.parent, &entry.name).map_err(std::io::Error::other)
    };
    let journal = read().map_err(|error| {
        format!(
            "the record beside it cannot be used ({error}); give the tree that it was copied from with \
             --backup"
        )
    })?;
    let known: BTreeSet<&RunId> = runs(records).map(|run| &run.id).collect();
    if runs(&journal).any(|run| known.contains(&run.id)) {
        return Ok(journal);
    }
    let why = "there is no record of it beside the tree, and what lies in the tree is not believed; give \
               the tree that it was copied from with --backup";
    Err(why.into())
}

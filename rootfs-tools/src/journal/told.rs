//! What is true of a tree, as far as it is told outside of it ([`super::ledger`]).
//!
//! A tree is whoever's who can write to it, such as root in a guest, and so is its journal: that is where a
//! backup is looked for, and what it says of runs that have kept nothing elsewhere. A directory whose own
//! journal does not name the run is no backup.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statify_files::trusted::{self, Place, Way};

use super::history::{replacements, runs};
use super::record::{Begin, Record, Replacement};
use super::{file, ledger};
use crate::tree::Tree;
use crate::tree::run_id::RunId;

/// Where an original is.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
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
pub(crate) struct Told {
    /// Each replacement with where its original is, the first one first.
    pub steps: Vec<(Replacement, Kept)>,
    /// The backups that belong to the tree, each with the files that it is known to have.
    pub backups: Vec<(Arc<Place>, KeptFiles)>,
}

/// Files of a backup: their names in it, and the SHA-256 of each.
pub(crate) type KeptFiles = Vec<(PathBuf, String)>;

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
        let unusable = asked.entry(path).or_insert_with(|| {
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
        unknown.extend(unusable.clone().map(|why| (run.id.clone(), why)));
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
    let journal = ledger::read_backup(&place).map_err(|error| error.to_string())?;
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
    let kept = kept.filter(|one| one.kept.as_deref().is_some_and(ledger::is_kept_name)).collect();
    Ok((Arc::new(place), kept))
}

/// Whether the run's tree is still where it was, and that is not here.
fn is_elsewhere(tree: &Tree, run: &Begin) -> bool {
    if tree.path == run.tree {
        return false;
    }
    let other = Tree::open(&run.tree).and_then(|other| file::read(&other));
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
        ledger::read_beside(&entry.parent, &entry.name).map_err(std::io::Error::other)
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

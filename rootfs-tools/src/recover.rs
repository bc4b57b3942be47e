//! After a run that did not come to its end: what it had begun is finished.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::journal::record::{Record, Replacement};
use crate::ledger;
use crate::replace::give_names;
use crate::run_id::RunId;
use crate::state::{self, State};
use crate::tree::{Name, Tree};

/// Replacements that the journal does not know to be complete, or to be undone.
pub fn unfinished(records: &[Record]) -> Vec<&Replacement> {
    let ended: BTreeSet<u64> = records
        .iter()
        .filter_map(|record| match record {
            Record::Replaced { id } | Record::Restored { id } => Some(*id),
            _ => None,
        })
        .collect();
    let begun = records.iter().filter_map(|record| match record {
        Record::Replace(replacement) => Some(replacement),
        _ => None,
    });
    begun.filter(|replacement| !ended.contains(&replacement.id)).collect()
}

/// A file of which some names have been replaced gets the others, too. One of which none was replaced is
/// an original like any other.
pub fn finish(tree: &Tree, journal: &mut Journal, records: &[Record]) -> Result<Vec<Record>> {
    let mut finished = Vec::new();
    let Some(run) = last_run(records) else {
        return Ok(finished);
    };
    for replacement in unfinished(records) {
        let failed = |source| Error::Stopped { path: replacement.names[0].clone(), source };
        if finish_one(tree, replacement, run).map_err(failed)? {
            finished.push(Record::Replaced { id: replacement.id });
        }
    }
    journal.append(&finished)?;
    Ok(finished)
}

fn finish_one(tree: &Tree, replacement: &Replacement, run: &RunId) -> io::Result<bool> {
    let mut converted: Option<Name> = None;
    let mut originals: Vec<Name> = Vec::new();
    for path in &replacement.names {
        let Some(name) = find(tree, path)? else {
            continue;
        };
        match state::of(&name, replacement)? {
            State::Converted(_) => converted = Some(name),
            State::Original(_) => originals.push(name),
            State::Other | State::Missing => {}
        }
    }
    let Some(converted) = converted else {
        return Ok(false);
    };
    if !originals.is_empty() {
        let directory = &converted.directory;
        directory.remove_work(run)?;
        directory.make_work(run)?;
        let work = directory.work("again")?;
        std::fs::hard_link(converted.at(), &work)?;
        give_names(&work, originals.iter())?;
        for name in &originals {
            name.directory.sync()?;
        }
        directory.remove_work(run)?;
    }
    Ok(true)
}

/// The last run that the journal knows, in whose name a working place can be made.
pub fn last_run(records: &[Record]) -> Option<&RunId> {
    ledger::runs(records).last().map(|run| &run.id)
}

/// Removes what ended runs have left in their working places, all of which the journal knows.
pub fn remove_work(tree: &Tree, records: &[Record]) -> Result<()> {
    for record in records {
        let Record::Directory(directory) = record else {
            continue;
        };
        let failed = |source| Error::Stopped { path: directory.path.clone(), source };
        if let Some(opened) = opened(tree.directory(&directory.path)).map_err(failed)? {
            for run in ledger::runs(records) {
                opened.remove_work(&run.id).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// A name, if its directory is still there.
pub fn find(tree: &Tree, path: &Path) -> io::Result<Option<Name>> {
    opened(tree.name(path))
}

fn opened<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(opened) => Ok(Some(opened)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

//! After a run that did not come to its end: what it had begun is finished.

use std::io;

use super::give_names::give_names;
use crate::error::{Error, Result};
use crate::journal::record::{Record, Replacement};
use crate::journal::state::{self, State};
use crate::journal::{Journal, history};
use crate::tree::run_id::RunId;
use crate::tree::{Name, Tree, if_there};

/// A file of which some names have been replaced gets the others, too. One of which none was replaced is
/// an original like any other.
pub fn finish(tree: &Tree, journal: &mut Journal, records: &[Record]) -> Result<Vec<Record>> {
    let mut finished = Vec::new();
    let Some(run) = history::last_run(records) else {
        return Ok(finished);
    };
    for replacement in history::unfinished(records) {
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
        let Some(name) = tree.name_if_there(path)? else {
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

/// Removes what ended runs have left in their working places, all of which the journal knows.
pub(crate) fn remove_work(tree: &Tree, records: &[Record]) -> Result<()> {
    for record in records {
        let path = match record {
            Record::Directory(directory) => &directory.path,
            Record::Pool(pool) => &pool.path,
            _ => continue,
        };
        let failed = |source| Error::Stopped { path: path.clone(), source };
        if let Some(opened) = if_there(tree.directory(path)).map_err(failed)? {
            for run in history::runs(records) {
                opened.remove_work(&run.id).map_err(failed)?;
            }
        }
    }
    Ok(())
}

//! What the records of a journal say together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::record::{Begin, Pool, Pooled, Record, Replacement};
use crate::tree::run_id::RunId;

/// The runs that a journal is of.
pub(crate) fn runs(records: &[Record]) -> impl Iterator<Item = &Begin> {
    records.iter().filter_map(|record| match record {
        Record::Begin(begin) => Some(begin),
        _ => None,
    })
}

/// The last run that the journal knows, in whose name a working place can be made.
pub(crate) fn last_run(records: &[Record]) -> Option<&RunId> {
    runs(records).last().map(|run| &run.id)
}

/// The replacements of a journal, each with its run; but for those that were given up before anything was
/// replaced.
pub(crate) fn replacements(records: &[Record]) -> Vec<(&Begin, &Replacement)> {
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

/// Replacements that the journal does not know to be complete, or to be undone.
pub(crate) fn unfinished(records: &[Record]) -> Vec<&Replacement> {
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

/// Replacements that are complete and neither undone nor followed by a later one.
pub(crate) fn in_place(records: &[Record]) -> Vec<&Replacement> {
    let ids = |wanted: fn(&Record) -> Option<u64>| -> BTreeSet<u64> {
        records.iter().filter_map(wanted).collect()
    };
    let replaced = ids(|record| match record {
        Record::Replaced { id } => Some(*id),
        _ => None,
    });
    let restored = ids(|record| match record {
        Record::Restored { id } => Some(*id),
        _ => None,
    });
    let mut newer: BTreeSet<&Path> = BTreeSet::new();
    let mut kept = Vec::new();
    for record in records.iter().rev() {
        let Record::Replace(replacement) = record else {
            continue;
        };
        let is_last = !newer.contains(replacement.names[0].as_path());
        if is_last && replaced.contains(&replacement.id) && !restored.contains(&replacement.id) {
            newer.extend(replacement.names.iter().map(PathBuf::as_path));
            kept.push(replacement);
        }
    }
    kept.sort_by(|a, b| a.names.cmp(&b.names));
    kept
}

/// The pools that the tree got, one for each run that had one.
pub(crate) fn pools(records: &[Record]) -> impl Iterator<Item = &Pool> {
    records.iter().filter_map(|record| match record {
        Record::Pool(pool) => Some(pool),
        _ => None,
    })
}

/// The files that came into pools, each once.
pub(crate) fn pooled(records: &[Record]) -> impl Iterator<Item = &Pooled> {
    let mut known = BTreeSet::new();
    records.iter().filter_map(move |record| match record {
        Record::Pooled(pooled) => known.insert(&pooled.path).then_some(pooled),
        _ => None,
    })
}

/// The number of the next replacement, one more than that of any in these records.
pub(crate) fn next_id<'a>(records: impl Iterator<Item = &'a Record>) -> u64 {
    let ids = records.filter_map(|record| match record {
        Record::Replace(replacement) => Some(replacement.id + 1),
        _ => None,
    });
    ids.max().unwrap_or(0)
}

//! The times of directories: written down before names in these change, and set back afterwards.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use statify_files::metadata;

use crate::error::{Error, Result};
use crate::journal::history;
use crate::journal::record::{Directory, Record};
use crate::pool::place::Place;
use crate::programs::find::Found;
use crate::tree::{self, Tree};

/// The times of directories that will change, as far as they are not written down yet.
pub(crate) fn of_directories(
    tree: &Tree,
    records: &[Record],
    before: Record,
    found: &Found,
    pool: Option<&Place>,
) -> Result<Vec<Record>> {
    let mut new = Vec::new();
    let mut known: Vec<PathBuf> = records
        .iter()
        .filter_map(|record| match record {
            Record::Directory(directory) => Some(directory.path.clone()),
            _ => None,
        })
        .collect();
    if !known.contains(&PathBuf::from("/")) {
        new.push(before);
        known.push("/".into());
    }
    let names = found.candidates.iter().flat_map(|candidate| &candidate.names);
    let directories = names.map(|name| &*name.directory).chain(pool.map(Place::last));
    for directory in directories {
        if !known.contains(&directory.path) {
            known.push(directory.path.clone());
            new.push(of(&directory.path, directory.file().metadata(), tree)?);
        }
    }
    Ok(new)
}

/// The times of the tree's own directory.
pub(crate) fn of_root(tree: &Tree) -> Result<Record> {
    of(Path::new("/"), tree.top()?.file().metadata(), tree)
}

fn of(path: &Path, stat: std::io::Result<std::fs::Metadata>, tree: &Tree) -> Result<Record> {
    let stat = stat.map_err(Error::file("read", &tree.path))?;
    Ok(Record::Directory(Directory {
        path: path.to_owned(),
        accessed: (stat.atime(), stat.atime_nsec()),
        modified: (stat.mtime(), stat.mtime_nsec()),
    }))
}

/// Gives directories the times that they had before anything in them was replaced, as far as they may
/// be set; those that were made for the pool get the times of the one that they were made in.
pub(crate) fn set_back(tree: &Tree, records: &[Record]) {
    for record in records {
        if let Record::Directory(directory) = record
            && let Ok(opened) = tree.directory(&directory.path)
        {
            set(&opened, directory);
        }
    }
    // The first run's last: a later one may have made a directory in one that was made.
    let pools: Vec<_> = history::pools(records).collect();
    for pool in pools.into_iter().rev() {
        let parent = pool.made.first().and_then(|path| path.parent());
        let known = records.iter().find_map(|record| match record {
            Record::Directory(directory) if Some(&*directory.path) == parent => Some(directory),
            _ => None,
        });
        for path in &pool.made {
            if let (Some(known), Ok(opened)) = (known, tree.directory(path)) {
                set(&opened, known);
            }
        }
    }
}

fn set(opened: &tree::Directory, as_it_was: &Directory) {
    let Directory { accessed, modified, .. } = *as_it_was;
    let _ = metadata::set_times(&opened.at("."), accessed, modified);
}

//! What runs have put into a tree's pool is taken away: files that are what their names say, and directories that are empty then.
//!
//! It is told by the tree's own journal, the word of whoever can write to the tree: so nothing is removed but what its name
//! is the hash of, and empty directories, and all of it in the tree.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use statify_files::{beneath, contents};

use crate::journal::history;
use crate::journal::record::Record;
use crate::tree::Tree;

/// Takes away what the journal says was put there. Returns sentences about what is something else now, which stays.
pub(crate) fn clear(tree: &Tree, records: &[Record]) -> Vec<String> {
    let mut failures = Vec::new();
    let mut directories: BTreeSet<&Path> = BTreeSet::new();
    for pool in history::pools(records) {
        directories.extend(pool.made.iter().map(std::path::PathBuf::as_path));
    }
    for pooled in history::pooled(records) {
        let failed = |error: io::Error| {
            format!("{}: it cannot be taken out of the pool: {error}", pooled.path.display())
        };
        if let Err(error) = remove_file(tree, &pooled.path) {
            failures.push(failed(error));
        }
    }
    // The innermost first.
    for path in directories.into_iter().rev() {
        if let Err(error) = remove_directory(tree, path) {
            let path = path.display();
            failures.push(format!("{path}: the pool's directory cannot be removed: {error}"));
        }
    }
    failures
}

fn remove_file(tree: &Tree, path: &Path) -> io::Result<()> {
    let Some(name) = tree.name_if_there(path)? else {
        return Ok(());
    };
    match name.at().symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(stat) if stat.is_file() => {}
        Ok(_) => return Err(io::Error::other("it is no file any more, and stays as it is")),
        Err(error) => return Err(error),
    }
    let sha256 = contents::sha256(&contents::open(&name.at())?)?;
    if name.file != *sha256 {
        return Err(io::Error::other("it was changed, and stays as it is"));
    }
    beneath::remove_file(name.directory.file(), &name.file)?;
    name.directory.sync()
}

/// One that has something in it, or is something else now, stays.
fn remove_directory(tree: &Tree, path: &Path) -> io::Result<()> {
    let Some(name) = tree.name_if_there(path)? else {
        return Ok(());
    };
    match beneath::remove_directory(name.directory.file(), &name.file) {
        Ok(()) => name.directory.sync(),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENOTDIR | libc::ENOTEMPTY | libc::EBUSY)
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

//! The working places of a run.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::programs::find::Candidate;
use crate::tree::Directory;
use crate::tree::run_id::RunId;

/// The working places of a run, in the directory of each program's first name, and in the pool.
pub(crate) struct Work {
    run: RunId,
    directories: Vec<Arc<Directory>>,
}

impl Work {
    /// Makes them.
    pub(crate) fn make(
        candidates: &[Candidate],
        pool: Option<&Arc<Directory>>,
        run: RunId,
    ) -> Result<Self> {
        let mut directories: Vec<Arc<Directory>> = Vec::new();
        let of_programs = candidates.iter().map(|candidate| &candidate.names[0].directory);
        for directory in of_programs.chain(pool) {
            if directories.iter().any(|known| known.path == directory.path) {
                continue;
            }
            let made = directory.make_work(&run);
            made.map_err(|source| Error::Stopped { path: directory.path.clone(), source })?;
            directories.push(directory.clone());
        }
        Ok(Self { run, directories })
    }

    /// Removes them, and what is left in them.
    pub(crate) fn remove(self) -> Result<()> {
        for directory in self.directories {
            let removed = directory.remove_work(&self.run);
            removed.map_err(Error::file("emptied", &directory.path))?;
        }
        Ok(())
    }
}

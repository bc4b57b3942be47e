//! One file gets all its names.

use std::io;
use std::path::{Path, PathBuf};

use crate::tree::Name;

/// Gives the file `work` these names, and takes its own away.
pub(crate) fn give_names<'a>(work: &Path, names: impl Iterator<Item = &'a Name>) -> io::Result<()> {
    let mut names = names.peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return std::fs::rename(work, name.at());
        }
        let mut another = work.as_os_str().to_owned();
        another.push(".name");
        let another = PathBuf::from(another);
        match std::fs::remove_file(&another) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        std::fs::hard_link(work, &another)?;
        std::fs::rename(&another, name.at())?;
    }
    Ok(())
}

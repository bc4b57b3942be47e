//! Where originals are kept: a directory that mirrors the tree, with a journal of its own
//! ([`crate::journal::ledger`]). On the same file system an original is kept as it is, by another name of it;
//! elsewhere as a copy with all that belongs to it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use statify_files::beneath;
use statify_files::contents;
use statify_files::metadata::{Contents, Metadata};
use statify_files::trusted::{self, Place};

use crate::error::{Error, Result};
use crate::journal::record::Record;
use crate::journal::{Journal, ledger};
use crate::tree::lock::Lock;
use crate::tree::run_id::RunId;
use crate::tree::{self, Name, Tree};

/// What a copy that is not complete is called.
const PARTIAL: &str = "partial";

/// The directory.
#[derive(Debug)]
pub(crate) struct Backup {
    /// The directory itself, which nobody else can write to.
    pub place: Place,
    /// What its journal says of earlier runs.
    pub records: Vec<Record>,
    /// Directories in it whose names have to be made to last.
    pending: BTreeSet<PathBuf>,
    /// Names that are given away and not there yet.
    promised: HashSet<PathBuf>,
    /// Nobody else keeps anything here, or takes it away.
    _lock: Lock,
}

impl Backup {
    /// Opens or makes the directory for the originals of `tree`; `known` are runs on that.
    pub fn open(path: &Path, tree: &Tree, known: &BTreeSet<&RunId>) -> Result<Self> {
        let failed =
            |source| Error::File { path: path.to_owned(), what: "used as a backup", source };
        let entry = trusted::entry(path, trusted::Way::Ours).map_err(failed)?;
        let real = entry.parent.path.join(&entry.name);
        if real.starts_with(&tree.path) || tree.path.starts_with(&real) {
            return Err(Error::Nested(real, tree.path.clone()));
        }
        beneath::make_directory(&entry.parent.dir, &entry.name).map_err(failed)?;
        entry.parent.dir.sync_all().map_err(failed)?;
        let place = trusted::own_directory(&real, false).map_err(failed)?;
        let lock = Lock::of(&place.dir, &real)?;
        let records = ledger::read_backup(&place)?.unwrap_or_default();
        let mut entries = std::fs::read_dir(beneath::link(&place.dir)).map_err(failed)?;
        let has_files = entries.any(|entry| entry.is_ok_and(|e| e.file_name() != ledger::STATE));
        let is_trees = super::history::runs(&records)
            .any(|run| run.tree == tree.path || known.contains(&run.id));
        let is_new = !has_files && records.is_empty();
        if !is_new && !is_trees {
            return Err(Error::NotEmpty(real, tree.path.clone()));
        }
        // Set-user-ID programs among the originals are not for everybody any more.
        place.dir.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
        let promised = HashSet::new();
        Ok(Self { place, records, pending: BTreeSet::new(), promised, _lock: lock })
    }

    /// Opens its journal, or begins it.
    pub fn journal(&self) -> Result<Journal> {
        let path = ledger::path_in(&self.place.path);
        let failed = Error::file("written", &path);
        let state = self.state().and_then(|state| {
            self.place.dir.sync_all()?;
            Ok(state)
        });
        Ok(Journal::open_in(&state.map_err(failed)?, OsStr::new(ledger::NAME), &path)?.0)
    }

    fn state(&self) -> io::Result<File> {
        beneath::make_directory(&self.place.dir, OsStr::new(ledger::STATE))
    }

    /// Where the file `name` will be kept, from the directory on.
    pub(crate) fn promise(&mut self, name: &Name, sha256: &str) -> io::Result<PathBuf> {
        let inside = name.path();
        let inside = inside.strip_prefix("/").unwrap_or(&inside);
        if !ledger::is_kept_name(inside) {
            return Err(io::Error::other("its path is that of the backup's own journal"));
        }
        for number in 0.. {
            // A program that was replaced by a newer one since it was kept has that name already.
            let mut kept = inside.as_os_str().to_owned();
            if number > 0 {
                kept.push(format!(".{number}"));
            }
            let kept = PathBuf::from(kept);
            if self.promised.contains(&kept) {
                continue;
            }
            let is_free = match beneath::file(&self.place.dir, &kept) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(_) => false,
                Ok(file) => {
                    let same =
                        tree::id(&file.metadata()?) == tree::id(&name.at().symlink_metadata()?);
                    same || contents::sha256(&file)? == sha256
                }
            };
            if is_free {
                self.promised.insert(kept.clone());
                return Ok(kept);
            }
        }
        unreachable!("the loop ends by itself only")
    }

    /// Keeps the file `name` where that was promised.
    pub fn keep(&mut self, name: &Name, kept: &Path) -> io::Result<()> {
        self.promised.remove(kept);
        let parent = kept.parent().unwrap_or(Path::new(""));
        let file = kept.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = self.make_parents(parent)?;
        match std::fs::hard_link(name.at(), beneath::at(&directory, file)) {
            // It was promised, so it is the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EXDEV | libc::EPERM | libc::EMLINK | libc::EOPNOTSUPP)
                ) =>
            {
                if beneath::file(&directory, Path::new(file)).is_ok() {
                    return Ok(());
                }
                let state = self.state()?;
                let partial = OsStr::new(PARTIAL);
                let _ = beneath::remove_file(&state, partial);
                copy(&name.at(), &beneath::at(&state, partial))?;
                Ok(rustix::fs::renameat(&state, partial, &directory, file)?)
            }
            other => other,
        }
    }

    fn make_parents(&mut self, parent: &Path) -> io::Result<File> {
        let mut at = PathBuf::new();
        let mut directory = beneath::directory(&self.place.dir, &at)?;
        self.pending.insert(at.clone());
        for part in parent {
            directory = beneath::make_directory(&directory, part)?;
            at.push(part);
            self.pending.insert(at.clone());
        }
        Ok(directory)
    }

    /// From here on what was kept survives whatever comes.
    pub fn sync(&mut self) -> io::Result<()> {
        for path in std::mem::take(&mut self.pending) {
            beneath::directory(&self.place.dir, &path)?.sync_all()?;
        }
        Ok(())
    }
}

/// Makes the new file `to` a copy of `from` with all that belongs to it; it is on the disk then.
pub fn copy(from: &Path, to: &Path) -> io::Result<File> {
    let metadata = Metadata::of(from)?;
    let file = contents::copy(&contents::open(from)?, to)?;
    metadata.give_to(to, Contents::Same)?;
    file.sync_all()?;
    Ok(file)
}

/// Removes what was kept, as far as it is what the backup's journal says, the directories that are empty then,
/// and this journal at last.
pub fn remove(place: &Place, kept: &[(PathBuf, String)]) -> Result<()> {
    // Nobody keeps anything there meanwhile.
    let _lock = Lock::of(&place.dir, &place.path)?;
    let failed = |source| Error::file("removed", &place.path)(source);
    let mut directories: BTreeMap<PathBuf, File> = BTreeMap::new();
    let mut files: BTreeMap<&Path, BTreeSet<&str>> = BTreeMap::new();
    for (path, sha256) in kept {
        files.entry(path).or_default().insert(sha256);
    }
    for (path, hashes) in files {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        // A run that was killed may have made some of them only.
        for above in parent.ancestors() {
            if directories.contains_key(above) {
                break;
            }
            match beneath::directory(&place.dir, above) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    directories.insert(above.to_owned(), opened.map_err(failed)?);
                }
            }
        }
        let Some(directory) = directories.get(parent) else {
            continue;
        };
        // What is gone, or something else now, stays as it is.
        if let Ok(file) = beneath::file(directory, Path::new(name)) {
            let hash = contents::sha256(&file).map_err(failed)?;
            if hashes.contains(hash.as_str()) {
                beneath::remove_file(directory, name).map_err(failed)?;
            }
        }
    }
    // The innermost first. What is not empty stays.
    let paths: Vec<PathBuf> = directories.keys().rev().cloned().collect();
    for path in paths {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        if let Some(above) = directories.get(parent) {
            let _ = rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR);
        }
    }
    // Before nobody knows them any more.
    rustix::fs::syncfs(&place.dir).map_err(|errno| failed(errno.into()))?;
    remove_journal(place).map_err(failed)
}

/// Removes the journal, and the directory if it is empty then.
fn remove_journal(place: &Place) -> io::Result<()> {
    let state = match beneath::directory(&place.dir, Path::new(ledger::STATE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(other?),
    };
    if let Some(state) = state {
        for name in [PARTIAL, ledger::NAME].map(OsStr::new) {
            match beneath::remove_file(&state, name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        beneath::remove_directory(&place.dir, OsStr::new(ledger::STATE))?;
    }
    place.dir.sync_all()?;
    if let (Some(parent), Some(name)) = (place.path.parent(), place.path.file_name()) {
        // It may be a mount point, or have something in it, or be in use: then it stays.
        let name: OsString = name.to_owned();
        if let Ok(parent) = trusted::directory(parent, trusted::Way::Ours, None) {
            let _ = beneath::remove_directory(&parent.dir, &name);
            parent.dir.sync_all()?;
        }
    }
    Ok(())
}

//! Where originals are kept: a directory that mirrors the tree. On the same file system an original is
//! kept as it is, by another name of it; elsewhere as a copy with all that belongs to it.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::contents;
use crate::error::{Error, Result};
use crate::journal;
use crate::metadata::{Contents, Metadata};
use crate::state;
use crate::tree::{self, Name, Tree};

/// What a copy that is not complete is called.
const PARTIAL: &str = ".rootfs-tools-partial";

/// The directory.
#[derive(Debug)]
pub struct Backup {
    /// Without symbolic links.
    pub path: PathBuf,
    /// Directories in it whose names have to be made to last.
    pending: BTreeSet<PathBuf>,
}

impl Backup {
    /// Opens or makes the directory for the originals of `root`; `known` are those of former runs.
    pub fn open(path: &Path, root: &Path, known: &[&Path]) -> Result<Self> {
        let failed = |source| Error::File { path: path.to_owned(), what: "written", source };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(failed)?,
        }
        let path = path.canonicalize().map_err(failed)?;
        let root = root.canonicalize().map_err(Error::file("found", root))?;
        if path.starts_with(&root) || root.starts_with(&path) {
            return Err(Error::Nested(path, root));
        }
        let empty = std::fs::read_dir(&path).map_err(failed)?.next().is_none();
        if !empty && !known.contains(&path.as_path()) {
            return Err(Error::NotEmpty(path, root));
        }
        // Set-user-ID programs among the originals are not for everybody any more.
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(failed)?;
        let parent = path.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self { pending: BTreeSet::from([parent]), path })
    }

    /// Keeps the file `name`. Returns where, from the directory on.
    pub fn keep(&mut self, name: &Name, sha256: &str) -> io::Result<PathBuf> {
        let inside = name.path();
        let inside = inside.strip_prefix("/").unwrap_or(&inside);
        self.make_parents(inside)?;
        for number in 0.. {
            // A program that was replaced by a newer one since it was kept has that name already.
            let mut kept = inside.as_os_str().to_owned();
            if number > 0 {
                kept.push(format!(".{number}"));
            }
            let kept = PathBuf::from(kept);
            let path = self.path.join(&kept);
            match keep_at(name, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let same = tree::id(&path.symlink_metadata()?)
                        == tree::id(&name.at().symlink_metadata()?);
                    if same || state::holds(&path, sha256).unwrap_or(false) {
                        return Ok(kept);
                    }
                }
                other => return other.map(|()| kept),
            }
        }
        unreachable!("the loop ends by itself only")
    }

    fn make_parents(&mut self, inside: &Path) -> io::Result<()> {
        for parent in inside.ancestors().skip(1) {
            self.pending.insert(self.path.join(parent));
        }
        let parent = inside.parent().unwrap_or(Path::new(""));
        DirBuilder::new().mode(0o700).recursive(true).create(self.path.join(parent))
    }

    /// From here on what was kept survives whatever comes.
    pub fn sync(&mut self) -> io::Result<()> {
        for path in std::mem::take(&mut self.pending) {
            journal::sync_directory(&path)?;
        }
        Ok(())
    }
}

fn keep_at(name: &Name, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(name.at(), path) {
        Err(error) => match error.raw_os_error() {
            Some(libc::EXDEV | libc::EPERM | libc::EMLINK | libc::EOPNOTSUPP) => {}
            _ => return Err(error),
        },
        Ok(()) => return Ok(()),
    }
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let partial = path.with_file_name(PARTIAL);
    let _ = std::fs::remove_file(&partial);
    copy(&name.at(), &partial)?;
    std::fs::rename(&partial, path)
}

/// Makes the new file `to` a copy of `from` with all that belongs to it; it is on the disk then.
pub fn copy(from: &Path, to: &Path) -> io::Result<File> {
    let metadata = Metadata::of(from)?;
    let file = contents::copy(&contents::open(from)?, to)?;
    metadata.give_to(to, Contents::Same)?;
    file.sync_all()?;
    Ok(file)
}

/// Removes what was kept, and directories that are empty then. What a run has kept that was ended before
/// it wrote that down goes, too, if the tree has it.
pub fn remove(backup: &Path, kept: &BTreeSet<PathBuf>, tree: &Tree) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(backup).contents_first(true) {
        let entry = match entry {
            Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => {
                continue;
            }
            other => other?,
        };
        if entry.file_type().is_dir() {
            // What is not empty stays.
            let _ = std::fs::remove_dir(entry.path());
            continue;
        }
        let inside = entry.path().strip_prefix(backup).unwrap_or(entry.path());
        let known = kept.contains(inside) || entry.file_name() == PARTIAL;
        if known || tree_has(tree, entry.path(), inside).unwrap_or(false) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether the file of this path in the tree, or the one that it is numbered after, is the same.
fn tree_has(tree: &Tree, path: &Path, inside: &Path) -> io::Result<bool> {
    let sha256 = contents::sha256(&contents::open(path)?)?;
    let same = |inside: &Path| {
        let name = tree.name(&Path::new("/").join(inside));
        name.and_then(|name| state::holds(&name.at(), &sha256)).unwrap_or(false)
    };
    Ok(same(inside) || same(&inside.with_extension("")))
}

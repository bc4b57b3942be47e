//! A copy of a whole tree: contents, holes, hard links, devices, owners, modes, times, attributes.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use statify_files::beneath;
use statify_files::contents;
use statify_files::metadata::{Contents, Metadata};
use statify_files::trusted::Entry;

use super::lock::Lock;
use super::opened::{self, FileId, Tree};
use super::partial::Partial;
use super::walk;
use crate::error::{Error, Result};

/// Makes `out` a copy of the tree. What an ended run has left of one is removed before. `begin_journal`
/// is called when everything is there but the name. Returns the copy, and the lock on it.
pub fn copy(
    from: &Tree,
    out: &Entry,
    begin_journal: impl FnOnce(&Tree) -> Result<()>,
) -> Result<(Tree, Lock)> {
    let (partial, lock) = Partial::begin(out)?;
    let failed = |source| Error::File { path: partial.path.clone(), what: "written", source };
    let here = beneath::link(&partial.dir);
    // Nobody else may enter it, so that no name in it leads elsewhere.
    copy_into(from, &partial.at(""), |_| Instead::Same)?;
    begin_journal(&Tree::open(&here)?)?;
    let top = from.top()?;
    let root = Metadata::of_open(top.file()).map_err(Error::file("read", &from.path))?;
    root.give_to(&partial.at("."), Contents::Same).map_err(failed)?;
    rustix::fs::syncfs(&partial.dir).map_err(|errno| failed(errno.into()))?;
    let path = out.parent.path.join(&out.name);
    partial.publish(&out.name).map_err(Error::file("written", &path))?;
    Ok((Tree::open(&here)?, lock))
}

/// What is copied in place of something in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// It is.
    Same,
    /// This file.
    File(PathBuf),
    /// Nothing.
    Nothing,
}

/// Copies what is in the tree into the directory `to`, but for what `instead` says of its path from ROOT on.
pub(crate) fn copy_into(from: &Tree, to: &Path, instead: impl Fn(&Path) -> Instead) -> Result<()> {
    let mut first_names: HashMap<FileId, PathBuf> = HashMap::new();
    let mut directories = Vec::new();
    for entry in walk::walk(from)? {
        let walk::Entry { name, stat } = entry?;
        let inside = name.path();
        let path = to.join(inside.strip_prefix("/").unwrap_or(&inside));
        let source = match instead(&inside) {
            Instead::Same => name.at(),
            Instead::File(other) => other,
            Instead::Nothing => continue,
        };
        let shown = from.path.join(inside.strip_prefix("/").unwrap_or(&inside));
        let read = |error| Error::File { path: shown, what: "read", source: error };
        let metadata = Metadata::of(&source).map_err(read)?;
        if stat.is_dir() {
            DirBuilder::new().mode(0o700).create(&path).map_err(Error::file("written", &path))?;
            directories.push((path, metadata));
            continue;
        }
        if stat.nlink() > 1 {
            if let Some(first) = first_names.get(&opened::id(&stat)) {
                std::fs::hard_link(first, &path).map_err(Error::file("written", &path))?;
                continue;
            }
            first_names.insert(opened::id(&stat), path.clone());
        }
        make(&source, &stat, &path).map_err(Error::file("written", &path))?;
        metadata.give_to(&path, Contents::Same).map_err(Error::file("written", &path))?;
    }
    // What comes into a directory changes its times, so they are set last, the innermost first.
    for (path, metadata) in directories.into_iter().rev() {
        metadata.give_to(&path, Contents::Same).map_err(Error::file("written", &path))?;
    }
    Ok(())
}

fn make(from: &Path, stat: &std::fs::Metadata, to: &Path) -> io::Result<()> {
    let kind = stat.file_type();
    if kind.is_file() {
        return contents::copy(&contents::open(from)?, to).map(drop);
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
    }
    let kind = match kind {
        kind if kind.is_fifo() => FileType::Fifo,
        kind if kind.is_socket() => FileType::Socket,
        kind if kind.is_char_device() => FileType::CharacterDevice,
        _ => FileType::BlockDevice,
    };
    Ok(rustix::fs::mknodat(CWD, to, kind, Mode::from_raw_mode(0o600), stat.rdev())?)
}

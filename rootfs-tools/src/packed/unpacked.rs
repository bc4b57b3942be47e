//! The tree that an archive or image was unpacked into, and what was converted in it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::room::Room;
use crate::error::{Error, Result};
use crate::journal::{self, history};
use crate::run::convert;
use crate::run::options::{Options, Target};
use crate::run::outcome::{Event, Outcome};
use crate::tree::Tree;

/// Of a new member that is a file of the pool.
pub(crate) const FILE_MODE: u32 = statify::Pool::FILE_MODE;
/// Of a directory that nothing describes, as it is made here, too.
pub(crate) const DIRECTORY_MODE: u32 = statify::Pool::DIRECTORY_MODE;

/// Converts the programs of the unpacked tree.
pub(crate) fn convert_tree(
    options: &Options,
    room: &Room,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let tree = Options { root: room.tree(), target: Target::InPlace(None), ..options.clone() };
    let root = || options.root.clone();
    convert::convert(&tree, tell).map_err(|error| match error {
        Error::NotARoot(_, dirs) => Error::NotARoot(root(), dirs),
        Error::NoLoader(_, loader) => Error::NoLoader(root(), loader),
        Error::OtherArchitecture(_, machines) => Error::OtherArchitecture(root(), machines),
        Error::Stopped { source, .. } | Error::File { source, .. } => {
            Error::NotFinished(root(), source)
        }
        other => other,
    })
}

/// A program of the unpacked tree that was converted.
#[derive(Debug)]
pub struct Program {
    /// All its names in the tree, in the order in which they were found.
    pub names: Vec<PathBuf>,
    /// The number that [`super::unpack::Unpacker::add`] was called with for it.
    pub number: u64,
}

/// The programs of `tree` that were converted, by what was where before: the numbers of members, by path.
pub fn programs(tree: &Tree, places: &HashMap<PathBuf, u64>) -> Result<Vec<Program>> {
    let records = journal::read(tree)?;
    let mut programs = Vec::new();
    for replacement in history::in_place(&records) {
        let names = replacement.names.clone();
        let number = names.iter().find_map(|name| places.get(name).copied());
        programs.extend(number.map(|number| Program { names, number }));
    }
    Ok(programs)
}

/// The files that came into the tree's pool, from ROOT on.
pub(crate) fn pooled(tree: &Tree) -> Result<BTreeSet<PathBuf>> {
    let records = journal::read(tree)?;
    Ok(history::pooled(&records).map(|pooled| pooled.path.clone()).collect())
}

/// The directories that lead to `path`, but for the root.
pub(crate) fn on_the_way(path: &Path) -> impl Iterator<Item = PathBuf> {
    let parents = path.ancestors().skip(1).filter(|parent| parent.parent().is_some());
    parents.map(Path::to_owned)
}

/// Where a file of the tree can be read, without a link on the way.
pub(crate) fn open_in(tree: &Tree, path: &Path) -> Result<PathBuf> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = tree.directory(parent).map_err(Error::file("opened", path))?;
    let inside = directory.path.strip_prefix("/").unwrap_or(&directory.path);
    Ok(tree.path.join(inside).join(path.file_name().unwrap_or_default()))
}

//! Archives in place of a directory: unpacked into a private tree, in which programs are converted,
//! and written anew with nothing else changed.

pub mod compression;
pub mod fault;
pub mod gzip;
pub mod header;
pub mod kind;
pub mod member;
pub mod members;
pub mod pax;
pub mod repack;
pub mod room;
pub mod sparse;
pub mod tarball;
pub mod unpack;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use room::Room;

use crate::convert::{self, Event, Options, Outcome, Target};
use crate::error::{Error, Result};
use crate::tree::Tree;
use crate::{journal, oci, report};
use kind::Kind;

/// What came of it, with the tree, which goes away with this.
#[derive(Debug)]
pub struct Converted {
    /// What came of it.
    pub outcome: Outcome,
    room: Room,
}

impl Converted {
    /// The unpacked tree, converted, with its journal.
    pub fn tree(&self) -> PathBuf {
        self.room.tree()
    }
}

/// Converts the programs of what `options.root` holds, which is of this kind. `platform` says which of
/// several images is meant.
pub fn convert(
    kind: Kind,
    options: &Options,
    platform: &oci::platform::Platform,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Converted> {
    let Target::Out(out) = &options.target else {
        return Err(Error::ArchiveInPlace(options.root.clone()));
    };
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot(options.root.clone()));
    }
    let room = Room::make(out, &options.root)?;
    let mut outcome = match kind {
        Kind::Tar => tarball::convert(options, &room, tell)?,
        Kind::Layout => oci::convert(options, &room, platform, tell)?,
        Kind::LayoutTar => oci::tarball::convert(options, &room, platform, tell)?,
    };
    room.publish()?;
    outcome.tree = room.out.clone();
    Ok(Converted { outcome, room })
}

/// Converts the programs of the unpacked tree.
pub fn convert_tree(
    options: &Options,
    room: &Room,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let tree = Options { root: room.tree(), target: Target::InPlace(None), ..options.clone() };
    let root = || options.root.clone();
    convert::convert(&tree, tell).map_err(|error| match error {
        Error::NotARoot(_, dirs) => Error::NotARoot(root(), dirs),
        Error::NoLoader(_, loader) => Error::NoLoader(root(), loader),
        Error::OtherArchitecture(_, machine) => Error::OtherArchitecture(root(), machine),
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
    /// The number that [`unpack::Unpacker::add`] was called with for it.
    pub number: u64,
}

/// Those of `tree`, by what was where before.
pub fn programs(tree: &Tree, places: &HashMap<PathBuf, u64>) -> Result<Vec<Program>> {
    let records = journal::read(tree)?;
    let mut programs = Vec::new();
    for replacement in report::in_place(&records) {
        let names = replacement.names.clone();
        let number = names.iter().find_map(|name| places.get(name).copied());
        programs.extend(number.map(|number| Program { names, number }));
    }
    Ok(programs)
}

/// Where a file of the tree can be read, without a link on the way.
pub fn open_in(tree: &Tree, path: &Path) -> Result<PathBuf> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = tree.directory(parent).map_err(Error::file("opened", path))?;
    let inside = directory.path.strip_prefix("/").unwrap_or(&directory.path);
    Ok(tree.path.join(inside).join(path.file_name().unwrap_or_default()))
}

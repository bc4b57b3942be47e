//! Archives and images in place of a directory: unpacked into a private tree, in which programs are converted,
//! and written anew with nothing else changed. [`archive`] knows tar archives, [`oci`] image layouts.

pub mod archive;
pub mod kind;
pub mod oci;
pub mod room;
mod tarball;
mod unpacked;

use std::path::PathBuf;

use room::Room;

use crate::error::{Error, Result};
use crate::run::options::{Options, Target};
use crate::run::outcome::{Event, Outcome};
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

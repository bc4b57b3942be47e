//! The figures of one snapshot without who shares with whom: what a watch needs of each.

use super::answer::Savable;
use super::census::census;
use super::class::Classes;
use super::classify::count;
use super::options::{By, Options};
use super::source::Source;
use crate::error::Result;
use crate::hash::PageHash;
use crate::snapshot::Snapshot;

/// What `share` says of a snapshot, whatever its domains are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Every page that is used, by its class.
    pub classes: Classes,
    /// What could be saved.
    pub savable: Savable,
    /// Contents of at least two pages, in one frame or several, in ascending order. Those of zeros are left out.
    pub sharings: Vec<PageHash>,
}

/// Those of a snapshot. KSM puts at most `max_page_sharing` pages in one frame.
pub fn figures(snapshot: &Snapshot, max_page_sharing: u64) -> Result<Figures> {
    // Users are the fewest domains; nothing of them is told.
    let options = Options { by: By::User, max_page_sharing, largest: 0, matrix: 0 };
    let mut census = census(&[Source::Memory(snapshot)], &options)?;
    let mut sharings = Vec::new();
    let counted = count(&mut census, &options, |hash| sharings.push(PageHash(hash.to_be_bytes())));
    // The frames of a single snapshot are numbered as it has them.
    let frames = census.kinds.iter().zip(&census.users).zip(&snapshot.frames.hashes);
    let used_often = |&((kind, set), _): &((&super::kind::Kind, &u32), &PageHash)| {
        kind.is_compared() && census.sets.uses(*set) > 1
    };
    sharings.extend(frames.filter(used_often).map(|(_, hash)| *hash));
    sharings.sort_unstable();
    sharings.dedup();
    let classes = counted.classes(&census.sets);
    Ok(Figures { classes, savable: counted.savable(&options), sharings })
}

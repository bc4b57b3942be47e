//! What nobody needs any more, removed.
//!
//! Others may cut and read meanwhile. A cut puts its packs there before its index, and relies on packs that it finds: so a pack
//! is removed only if no index needs it, none that was removed within the time of grace did, and it is older than that time itself.
//! A cut relies on packs of no index for half of it ([`crate::known::RELIABLE`]).

use std::collections::HashSet;
use std::time::Duration;

use crate::error::Result;
use crate::known::RELIABLE;
use crate::repack::{self, repack};
use crate::store::Store;
use crate::verify::needed;

/// The time of grace, if nothing is said.
pub const GRACE: Duration = Duration::from_secs(2 * RELIABLE.as_secs());

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Packs that were removed.
    pub removed: u64,
    /// Packs that nobody needs, but that are too young, or were needed a short time ago.
    pub young: u64,
    /// Packs that are needed.
    pub kept: u64,
    /// What was repacked before.
    pub repacked: repack::Report,
}

/// Removes packs and signatures, after it has repacked what `options` say. An index that cannot be read may need any of them,
/// so it ends this.
pub fn gc(store: &Store, grace: Duration, options: Option<&repack::Options<'_>>) -> Result<Report> {
    let repacked = options.map(|options| repack(store, options)).transpose()?.unwrap_or_default();
    // Listed first: what comes later is not removed.
    let packs = store.packs()?;
    let signatures = store.signatures()?;
    let stored = store.stored()?.into_iter().collect::<Result<Vec<_>>>()?;
    let removed = store.removed_indexes(grace)?;
    let live = needed(stored.iter().map(|stored| &stored.index));
    let recent = needed(removed.iter().map(|stored| &stored.index));
    let mut report = Report { repacked, ..Report::default() };
    for pack in packs {
        if live.contains(&pack) {
            report.kept += 1;
            continue;
        }
        match store.pack_age(&pack)? {
            Some(age) if age >= grace && !recent.contains(&pack) => {
                store.remove_pack(&pack)?;
                report.removed += 1;
            }
            Some(_) => report.young += 1,
            None => {}
        }
    }
    let hashes: HashSet<[u8; 32]> =
        stored.iter().chain(&removed).map(|stored| stored.hash).collect();
    for (name, comment) in signatures {
        if !comment.is_some_and(|comment| hashes.contains(&comment.index)) {
            store.forget_signature(&name, grace)?;
        }
    }
    Ok(report)
}

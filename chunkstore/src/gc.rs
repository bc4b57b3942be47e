//! What nobody needs any more, removed.
//!
//! Others may cut and read meanwhile. A cut puts its packs there before its index, and relies on packs that it finds: so a pack
//! is removed only if no index needs it, none that was removed within the time of grace did, and it is older than that time itself.
//! A cut relies on packs of no index for half of it ([`crate::known::RELIABLE`]).

use std::time::Duration;

use crate::error::Result;
use crate::known::RELIABLE;
use crate::store::Store;
use crate::verify::needed;

/// The time of grace, if nothing is said.
pub const GRACE: Duration = Duration::from_secs(2 * RELIABLE.as_secs());

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Packs that were removed.
    pub removed: u64,
    /// Packs that nobody needs, but that are too young.
    pub young: u64,
    /// Packs that are needed.
    pub kept: u64,
}

/// Removes packs. An index that cannot be read may need any of them, so it ends this.
pub fn gc(store: &Store, grace: Duration) -> Result<Report> {
    // Listed first: what comes later is not removed.
    let packs = store.packs()?;
    let indexes = store.indexes()?.into_iter().collect::<Result<Vec<_>>>()?;
    let removed = store.removed_indexes(grace)?;
    let needed = needed(indexes.iter().chain(&removed));
    let mut report = Report::default();
    for pack in packs {
        if needed.contains(&pack) {
            report.kept += 1;
            continue;
        }
        match store.pack_age(&pack)? {
            Some(age) if age >= grace => {
                store.remove_pack(&pack)?;
                report.removed += 1;
            }
            Some(_) => report.young += 1,
            None => {}
        }
    }
    Ok(report)
}

//! The chunks that a store has already, so that nobody compresses or sends them again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::error::Result;
use crate::name::ChunkName;
use crate::store::{BlobName, Store};

/// A pack that no index mentions, as a cut that was killed leaves behind, is relied on while it is so young; later it may
/// be removed at any time ([`crate::gc`]).
pub const RELIABLE: Duration = Duration::from_secs(12 * 3600);

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The pack, as a number of [`Known::packs`].
    pub pack: u32,
    /// As [`crate::pack::Entry::offset`].
    pub offset: u32,
    /// As [`crate::pack::Entry::stored`].
    pub stored: u32,
    /// As [`crate::pack::Entry::len`].
    pub len: u32,
}

/// What a store has.
#[derive(Debug, Default)]
pub struct Known {
    /// Packs.
    pub packs: Vec<BlobName>,
    chunks: HashMap<ChunkName, Location>,
}

impl Known {
    /// Asks the store. What it says of itself is believed only as far as a chunk that is read again is checked.
    pub fn read(store: &Store) -> Result<Self> {
        let mut known = Self::default();
        let there: HashSet<BlobName> = store.packs()?.into_iter().collect();
        let mut numbers: HashMap<BlobName, u32> = HashMap::new();
        // One that is damaged says nothing; its image is somebody else's concern.
        for index in store.indexes()?.into_iter().flatten() {
            for chunk in &index.chunks {
                let Some(pack) =
                    index.packs.get(chunk.pack as usize).filter(|p| there.contains(*p))
                else {
                    continue;
                };
                let pack = *numbers.entry(*pack).or_insert_with(|| known.add_pack(*pack));
                let (offset, stored, len) = (chunk.offset, chunk.stored, chunk.len);
                known.add(chunk.name, Location { pack, offset, stored, len });
            }
        }
        for pack in there.iter().filter(|pack| !numbers.contains_key(*pack)) {
            if store.pack_age(pack)?.is_none_or(|age| age > RELIABLE) {
                continue;
            }
            let Ok(entries) = store.pack_entries(pack) else { continue };
            let number = known.add_pack(*pack);
            for entry in entries {
                let (offset, stored, len) = (entry.offset, entry.stored, entry.len);
                known.add(entry.name, Location { pack: number, offset, stored, len });
            }
        }
        Ok(known)
    }

    fn add_pack(&mut self, pack: BlobName) -> u32 {
        self.packs.push(pack);
        self.packs.len() as u32 - 1
    }

    fn add(&mut self, name: ChunkName, location: Location) {
        self.chunks.entry(name).or_insert(location);
    }

    /// Where a chunk lies.
    pub fn find(&self, name: &ChunkName) -> Option<Location> {
        self.chunks.get(name).copied()
    }
}

//! How much images share, and what each costs.

use std::collections::HashMap;

use crate::chunking::Chunking;
use crate::error::Result;
use crate::name::ChunkName;
use crate::store::Store;

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OfImage {
    /// Its name.
    pub name: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The size of its chunks, in bytes; about what they have on average if their contents say where they end.
    pub chunk_size: u64,
    /// Whether they do.
    pub content_defined: bool,
    /// What of it is not zero, in bytes.
    pub data_bytes: u64,
    /// Its distinct chunks.
    pub chunks: u64,
    /// Their bytes.
    pub distinct_bytes: u64,
    /// The same as they are stored.
    pub stored_bytes: u64,
    /// Chunks that no other image has.
    pub own_chunks: u64,
    /// Their bytes as they are stored: what the store would be smaller by without the image.
    pub own_stored_bytes: u64,
}

/// A store.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// By name.
    pub images: Vec<OfImage>,
    /// What of all images is not zero, in bytes.
    pub data_bytes: u64,
    /// Distinct chunks of all images.
    pub chunks: u64,
    /// Their bytes.
    pub distinct_bytes: u64,
    /// The same as they are stored.
    pub stored_bytes: u64,
    /// Packs.
    pub packs: u64,
}

/// Counts.
pub fn stats(store: &Store) -> Result<Stats> {
    let mut indexes = store.indexes()?.into_iter().collect::<Result<Vec<_>>>()?;
    indexes.sort_by(|a, b| a.label.cmp(&b.label));
    let mut users: HashMap<ChunkName, (u32, u32, u32)> = HashMap::new();
    for chunk in indexes.iter().flat_map(|index| &index.chunks) {
        users.entry(chunk.name).or_insert((0, chunk.len, chunk.stored)).0 += 1;
    }
    let mut stats = Stats {
        chunks: users.len() as u64,
        distinct_bytes: users.values().map(|(_, len, _)| u64::from(*len)).sum(),
        stored_bytes: users.values().map(|(_, _, stored)| u64::from(*stored)).sum(),
        packs: store.packs()?.len() as u64,
        ..Stats::default()
    };
    for index in indexes {
        let own = || index.chunks.iter().filter(|chunk| users[&chunk.name].0 == 1);
        let data_bytes = index.filled().map(|(position, _)| index.len_at(position)).sum();
        stats.data_bytes += data_bytes;
        stats.images.push(OfImage {
            bytes: index.image_len,
            chunk_size: index.chunking.average(),
            content_defined: matches!(index.chunking, Chunking::ContentDefined(_)),
            data_bytes,
            chunks: index.chunks.len() as u64,
            distinct_bytes: index.chunks.iter().map(|chunk| u64::from(chunk.len)).sum(),
            stored_bytes: index.chunks.iter().map(|chunk| u64::from(chunk.stored)).sum(),
            own_chunks: own().count() as u64,
            own_stored_bytes: own().map(|chunk| u64::from(chunk.stored)).sum(),
            name: index.label,
        });
    }
    Ok(stats)
}

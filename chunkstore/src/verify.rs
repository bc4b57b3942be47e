//! Every byte of a store, read and held against its names.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::index::Record;
use crate::pack;
use crate::signature::Trust;
use crate::store::{BlobName, Store, hex};

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Packs, and their bytes.
    pub packs: u64,
    /// In bytes.
    pub bytes: u64,
    /// Images that can be had back.
    pub sound: Vec<String>,
    /// What cannot, each as a sentence.
    pub problems: Vec<String>,
    /// Packs that are damaged.
    pub damaged: Vec<BlobName>,
}

/// Reads all packs and all indexes, which must be signed as `trust` says. `progress` hears of each pack how many there are.
pub fn verify(
    store: &Store,
    trust: Option<&Trust>,
    progress: impl Fn(u64) + Sync,
) -> Result<Findings> {
    let packs = store.packs()?;
    let total = packs.len() as u64;
    type Seen = (BlobName, Result<(u64, HashMap<[u8; 32], (u32, u32, u32)>)>);
    let seen: Vec<Seen> = packs
        .par_iter()
        .map(|name| {
            progress(total);
            (*name, whole(store, name))
        })
        .collect();
    let mut findings = Findings { packs: total, ..Findings::default() };
    let mut contents = HashMap::new();
    for (name, outcome) in seen {
        match outcome {
            Ok((bytes, chunks)) => {
                findings.bytes += bytes;
                contents.insert(name, chunks);
            }
            Err(error) => {
                // A store that does not answer says nothing of a pack.
                if matches!(error, Error::Pack(..)) {
                    findings.damaged.push(name);
                }
                findings.problems.push(error.to_string());
            }
        }
    }
    for index in store.indexes()? {
        let index = match index {
            Ok(index) => index,
            Err(error) => {
                findings.problems.push(error.to_string());
                continue;
            }
        };
        let is_there = |chunk: &&Record| {
            let place = (chunk.offset, chunk.stored, chunk.len);
            let pack = index.packs.get(chunk.pack as usize).and_then(|pack| contents.get(pack));
            pack.is_some_and(|chunks| chunks.get(&chunk.name.0) == Some(&place))
        };
        if let Some(Err(error)) = trust.map(|trust| store.trusted_index(&index.label, trust)) {
            findings.problems.push(error.to_string());
            continue;
        }
        let missing = index.chunks.iter().filter(|chunk| !is_there(chunk)).count();
        match missing {
            0 => findings.sound.push(index.label),
            count => {
                let needed = index.chunks.len();
                findings.problems.push(format!(
                    "{}: {count} of its {needed} chunks are missing or damaged; chunkstore verify --remove, and cut the image again",
                    index.label
                ));
            }
        }
    }
    findings.sound.sort();
    Ok(findings)
}

/// The size of a pack and its chunks, if all of it is as it was written.
type Whole = (u64, HashMap<[u8; 32], (u32, u32, u32)>);

fn whole(store: &Store, name: &BlobName) -> Result<Whole> {
    let damaged = |why| Error::Pack(hex(name), why);
    let bytes = store.pack_bytes(name, 0, pack::MOST_PACK + 1)?;
    if crate::ChunkName::of(&bytes).0 != *name {
        return Err(damaged("its contents are others than its name says"));
    }
    let pack::Directory::Entries(entries) = pack::directory(&bytes).map_err(damaged)? else {
        return Err(damaged("it is cut off"));
    };
    let mut chunks = HashMap::new();
    for entry in entries {
        let frame = bytes.get(entry.offset as usize..(entry.offset + entry.stored) as usize);
        let frame = frame.ok_or_else(|| damaged("it is cut off"))?;
        let mut contents = vec![0; entry.len as usize];
        let len = crate::frame::decompress(frame, &mut contents);
        if len.ok() != Some(contents.len()) || crate::ChunkName::of(&contents) != entry.name {
            return Err(damaged("a chunk in it is not what its name says"));
        }
        chunks.insert(entry.name.0, (entry.offset, entry.stored, entry.len));
    }
    Ok((bytes.len() as u64, chunks))
}

/// The packs that these indexes need.
pub fn needed<'a>(indexes: impl Iterator<Item = &'a crate::index::Index>) -> HashSet<BlobName> {
    indexes.flat_map(|index| index.packs.iter().copied()).collect()
}

//! Packs of which little is needed any more, made into fewer.
//!
//! Others may cut, read and repack meanwhile: new packs first, then the indexes, each only if it is still the one that was read.
//! The old ones stay among the removed indexes for a time of grace, and so do their packs ([`crate::gc`]); whoever has read them
//! finds everything until then. Who is killed leaves packs that no index needs, and nothing else.

use std::collections::{BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::fetch;
use crate::index::{Index, Record};
use crate::name::ChunkName;
use crate::pack::Builder;
use crate::signature::{self, Sign, Trust};
use crate::store::{BlobName, Store, Stored, hex};
use crate::{ChunkSize, Chunking};

/// What is repacked.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Packs of which less than so much of a hundred is needed.
    pub percent: u8,
    /// Who signs indexes that were signed by the same key.
    pub signer: Option<&'a dyn Sign>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Packs that no image needs any more, as others have what it needed of them.
    pub packs: u64,
    /// The others.
    pub new_packs: u64,
    /// Images whose indexes were put anew.
    pub images: u64,
    /// Packs that stay as they are, since images have them that were signed by somebody else.
    pub signed: u64,
}

/// Where a chunk lies now.
struct Moved {
    pack: BlobName,
    offset: u32,
    stored: u32,
}

/// Repacks.
pub fn repack(store: &Store, options: &Options<'_>) -> Result<Report> {
    let stored = store.stored()?.into_iter().collect::<Result<Vec<_>>>()?;
    let mut packs = sparse(store, &stored, options.percent)?;
    let mut report = Report::default();
    for of_others in signed_by_others(store, &stored, options.signer)? {
        let before = packs.len();
        packs.retain(|pack| !of_others.index.packs.contains(pack));
        report.signed += (before - packs.len()) as u64;
    }
    if packs.is_empty() {
        return Ok(report);
    }
    let (moved, new_packs) = move_chunks(store, &stored, &packs)?;
    (report.packs, report.new_packs) = (packs.len() as u64, new_packs);
    for old in &stored {
        if old.index.packs.iter().any(|pack| packs.contains(pack)) {
            report.images += u64::from(replace(store, old, &moved, options.signer)?);
        }
    }
    Ok(report)
}

/// The packs of which less than `percent` is needed, but some.
fn sparse(store: &Store, stored: &[Stored], percent: u8) -> Result<BTreeSet<BlobName>> {
    let mut chunks = HashSet::new();
    let mut needed: HashMap<BlobName, u64> = HashMap::new();
    for index in stored.iter().map(|stored| &stored.index) {
        for chunk in &index.chunks {
            let pack = index.packs[chunk.pack as usize];
            if chunks.insert((pack, chunk.offset)) {
                *needed.entry(pack).or_default() += u64::from(chunk.stored);
            }
        }
    }
    let is_sparse = |(pack, needed): (&BlobName, &u64)| {
        let size = store.pack_size(pack)?;
        let is = |size: u64| needed.saturating_mul(100) < size.saturating_mul(percent.into());
        Ok(size.is_some_and(is).then_some(*pack))
    };
    let found: Vec<Result<Option<BlobName>>> = needed.par_iter().map(is_sparse).collect();
    found.into_iter().filter_map(Result::transpose).collect()
}

/// The indexes whose signatures this signer cannot make anew.
fn signed_by_others<'a>(
    store: &Store,
    stored: &'a [Stored],
    signer: Option<&dyn Sign>,
) -> Result<Vec<&'a Stored>> {
    let signatures = store.signatures()?;
    let is_of_others = |stored: &&Stored| {
        let own = signer.map(|signer| signature::blob(&stored.hash, signer.public_key()));
        signatures.iter().any(|(blob, comment)| {
            comment.as_ref().is_some_and(|comment| comment.index == stored.hash)
                && Some(*blob) != own
        })
    };
    Ok(stored.iter().filter(is_of_others).collect())
}

/// Puts what is needed of these packs into new ones. Returns where it lies now, and how many new ones there are.
fn move_chunks(
    store: &Store,
    stored: &[Stored],
    packs: &BTreeSet<BlobName>,
) -> Result<(HashMap<ChunkName, Moved>, u64)> {
    /// So many chunks are fetched at once.
    const ROUND: usize = 256;
    let unreadable = |error| Error::Request("an index of packs".into(), error);
    // Of no image: it says where the chunks are.
    let mut source = Index::new("", Chunking::Fixed(ChunkSize::LEAST), 0).map_err(unreadable)?;
    source.packs = packs.iter().copied().collect();
    let numbers: HashMap<BlobName, u32> = source.packs.iter().copied().zip(0..).collect();
    let mut seen = HashSet::new();
    for index in stored.iter().map(|stored| &stored.index) {
        for chunk in &index.chunks {
            let pack = numbers.get(&index.packs[chunk.pack as usize]);
            if let Some(pack) = pack.filter(|_| seen.insert(chunk.name)) {
                source.chunks.push(Record { pack: *pack, ..*chunk });
            }
        }
    }
    source.chunks.sort_by_key(|chunk| (chunk.pack, chunk.offset));
    let mut new = NewPacks { store, builder: Builder::default(), moved: HashMap::new(), count: 0 };
    for round in source.chunks.chunks(ROUND) {
        let round: Vec<&Record> = round.iter().collect();
        let runs = fetch::runs(&round);
        let fetch = |run: &&[&Record]| {
            let frames = fetch::frames(store, &source, run)?;
            for (frame, chunk) in frames.iter().zip(*run) {
                fetch::open(frame, chunk, &hex(&source.packs[chunk.pack as usize]))?;
            }
            Ok(frames)
        };
        let fetched: Vec<Result<Vec<Vec<u8>>>> = runs.par_iter().map(fetch).collect();
        for (frames, run) in fetched.into_iter().zip(&runs) {
            for (frame, chunk) in frames?.iter().zip(*run) {
                new.add(chunk, frame)?;
            }
        }
    }
    new.close()?;
    Ok((new.moved, new.count))
}

/// Packs that are filled and put into the store.
struct NewPacks<'a> {
    store: &'a Store,
    builder: Builder,
    moved: HashMap<ChunkName, Moved>,
    count: u64,
}

impl NewPacks<'_> {
    fn add(&mut self, chunk: &Record, frame: &[u8]) -> Result<()> {
        if self.builder.is_full() {
            self.close()?;
        }
        self.builder.add(chunk.name, chunk.len, frame);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let (bytes, entries) = std::mem::take(&mut self.builder).finish();
        let pack = self.store.put_pack(&bytes)?;
        for entry in entries {
            let (offset, stored) = (entry.offset, entry.stored);
            self.moved.insert(entry.name, Moved { pack, offset, stored });
        }
        self.count += 1;
        Ok(())
    }
}

/// Puts an index anew with its chunks where they lie now. Returns whether it did: not if there is another by now.
fn replace(
    store: &Store,
    old: &Stored,
    moved: &HashMap<ChunkName, Moved>,
    signer: Option<&dyn Sign>,
) -> Result<bool> {
    let label = &old.index.label;
    let bytes = match store.index_bytes(label) {
        Err(Error::NoIndex(_)) => return Ok(false),
        bytes => bytes?,
    };
    if ChunkName::of(&bytes).0 != old.hash {
        return Ok(false);
    }
    let index = with_moved(&old.index, moved);
    if let Some(signer) = signer {
        // Only what was signed is signed again, and as old as it was.
        match store.check_signature(label, &bytes, &Trust::read(signer.public_key())?) {
            Ok(time) => store.sign_index(label, &index.to_bytes(), signer, time)?,
            Err(Error::NotSigned(..)) => {}
            Err(error) => return Err(error),
        }
    }
    store.replace_index(&bytes, &index)
}

fn with_moved(index: &Index, moved: &HashMap<ChunkName, Moved>) -> Index {
    let mut new = index.clone();
    new.packs.clear();
    let mut numbers = HashMap::new();
    for chunk in &mut new.chunks {
        let moved = moved.get(&chunk.name);
        let pack = moved.map_or(index.packs[chunk.pack as usize], |moved| moved.pack);
        if let Some(moved) = moved {
            (chunk.offset, chunk.stored) = (moved.offset, moved.stored);
        }
        chunk.pack = *numbers.entry(pack).or_insert_with(|| {
            new.packs.push(pack);
            new.packs.len() as u32 - 1
        });
    }
    new
}

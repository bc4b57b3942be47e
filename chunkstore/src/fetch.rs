//! Chunks out of a store, each held against its name before anybody sees a byte of it.

use crate::error::{Error, Result};
use crate::frame;
use crate::index::{Index, Record};
use crate::name::ChunkName;
use crate::store::{Store, hex};

/// Neighbours in a pack are fetched together up to so many bytes, as they are stored.
const MOST_AT_ONCE: u64 = 4 << 20;

/// The bytes of a chunk.
pub fn chunk(store: &Store, index: &Index, chunk: &Record) -> Result<Vec<u8>> {
    let pack = &index.packs[chunk.pack as usize];
    let frame = store.pack_bytes(pack, chunk.offset.into(), chunk.stored.into())?;
    open(&frame, chunk, &hex(pack))
}

/// Those of several, which lie behind one another in one pack ([`runs`]).
pub fn chunks(store: &Store, index: &Index, chunks: &[&Record]) -> Result<Vec<Vec<u8>>> {
    let frames = with_frames(store, index, chunks)?;
    Ok(frames.into_iter().map(|(_, bytes)| bytes).collect())
}

/// The same, each with the zstd frame that it came in.
pub fn with_frames(
    store: &Store,
    index: &Index,
    chunks: &[&Record],
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let open = |(frame, chunk): (Vec<u8>, &&Record)| {
        let bytes = open(&frame, chunk, &hex(&index.packs[chunk.pack as usize]))?;
        Ok((frame, bytes))
    };
    frames(store, index, chunks)?.into_iter().zip(chunks).map(open).collect()
}

/// The same as they are stored, not held against anything yet.
pub fn frames(store: &Store, index: &Index, chunks: &[&Record]) -> Result<Vec<Vec<u8>>> {
    let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else { return Ok(Vec::new()) };
    let pack = &index.packs[first.pack as usize];
    let len = u64::from(last.offset - first.offset) + u64::from(last.stored);
    let bytes = store.pack_bytes(pack, first.offset.into(), len)?;
    let frame = |chunk: &Record| {
        let start = (chunk.offset - first.offset) as usize;
        bytes.get(start..start + chunk.stored as usize).unwrap_or_default().to_vec()
    };
    Ok(chunks.iter().map(|chunk| frame(chunk)).collect())
}

/// These chunks in runs that are fetched at once.
pub fn runs<'a>(mut chunks: &'a [&'a Record]) -> Vec<&'a [&'a Record]> {
    let mut runs = Vec::new();
    while !chunks.is_empty() {
        let (run, rest) = chunks.split_at(together(chunks));
        runs.push(run);
        chunks = rest;
    }
    runs
}

/// How many of these chunks, from the first on, lie behind one another and are fetched at once.
fn together(chunks: &[&Record]) -> usize {
    let Some(first) = chunks.first() else { return 0 };
    let follows = |pair: &[&Record]| {
        let [one, next] = pair else { return false };
        let end = u64::from(next.offset) + u64::from(next.stored);
        next.pack == one.pack
            && u64::from(next.offset) == u64::from(one.offset) + u64::from(one.stored)
            && end - u64::from(first.offset) <= MOST_AT_ONCE
    };
    1 + chunks.windows(2).take_while(|pair| follows(pair)).count()
}

/// What is in a frame, if it is the chunk that it should be.
pub fn open(frame: &[u8], chunk: &Record, pack: &str) -> Result<Vec<u8>> {
    let damaged = |why| Error::Chunk(chunk.name.to_string(), pack.to_owned(), why);
    if frame.len() != chunk.stored as usize {
        return Err(damaged("it is cut off"));
    }
    let mut bytes = vec![0; chunk.len as usize];
    let len = frame::decompress(frame, &mut bytes);
    let len = len.map_err(|_| damaged("it cannot be decompressed to its size"))?;
    if len != bytes.len() || ChunkName::of(&bytes) != chunk.name {
        return Err(damaged("its contents are others"));
    }
    Ok(bytes)
}

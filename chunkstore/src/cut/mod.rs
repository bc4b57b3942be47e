//! An image cut into chunks of one size.
//!
//! One thread reads ([`source`]), all cores hash and compress, one puts packs into the store ([`upload`]); packs first, the index
//! last. What is in memory at any time are a few batches and packs, whatever the image's size, and the index.

mod source;
mod upload;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use rayon::prelude::*;

use crate::ChunkSize;
use crate::error::{Error, Result};
use crate::index::{Index, Record};
use crate::known::Known;
use crate::name::ChunkName;
use crate::signature::Sign;
use crate::store::{BlobName, Store};
use source::{Batch, Source};
use upload::Packs;

/// How an image is cut.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of chunks.
    pub chunk_size: ChunkSize,
    /// What the image is called in the store.
    pub label: String,
    /// Put the index in the place of another image's of this name.
    pub replace: bool,
    /// zstd's level.
    pub level: i32,
    /// Who signs the index.
    pub signer: Option<Arc<dyn Sign>>,
}

/// What a cut did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The image's size, in bytes.
    pub image_bytes: u64,
    /// Of these, in chunks that are not zero.
    pub data_bytes: u64,
    /// Distinct chunks.
    pub chunks: u64,
    /// Those that the store did not have.
    pub new_chunks: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// What was put into the store for them, compressed, in bytes.
    pub stored_bytes: u64,
}

/// Cuts the image, a file or a block device, into `store`. `progress` hears how many bytes of it are done.
pub fn cut(
    store: &Store,
    image: &Path,
    options: &Options,
    mut progress: impl FnMut(u64),
) -> Result<Report> {
    let unreadable = |error| Error::Image(image.to_owned(), error);
    let source = Source::open(image).map_err(unreadable)?;
    let known = Known::read(store)?;
    let index = Index::new(&options.label, options.chunk_size, source.len()).map_err(unreadable)?;
    let (batches, incoming) = sync_channel::<std::io::Result<Batch>>(1);
    let (packs, to_send) = sync_channel(1);
    let (state, sent) = std::thread::scope(|scope| -> Result<(Cut<'_>, Vec<BlobName>)> {
        // Dropped on the way out, whatever happens: then neither thread waits any more.
        let mut state = Cut::new(&known, index, Packs::new(packs));
        let uploader = scope.spawn(|| upload::put_all(store, to_send));
        let source = &source;
        scope.spawn(move || source.read(options.chunk_size, |batch| batches.send(batch).is_ok()));
        for batch in incoming {
            let batch = batch.map_err(unreadable)?;
            // If the uploader has given up, it says why below.
            if state.take(&batch, options.level)?.is_none() {
                break;
            }
            progress(batch.end());
        }
        let closed = state.packs.close();
        let sent = uploader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        closed.ok_or(Error::Removed)?;
        Ok((state, sent))
    })?;
    if source.has_changed().map_err(unreadable)? {
        return Err(Error::Changed(image.to_owned()));
    }
    let (index, report) = state.complete(&sent);
    for pack in index.packs.iter().filter(|pack| !sent.contains(pack)) {
        if !store.has_pack(pack)? {
            return Err(Error::Removed);
        }
    }
    store.put_signed_index(&index, options.replace, options.signer.as_deref())?;
    Ok(report)
}

/// A cut under way.
struct Cut<'a> {
    known: &'a Known,
    index: Index,
    /// The chunks of the index, by name.
    numbers: HashMap<ChunkName, usize>,
    /// Chunks that are new to the store: the number of the new pack, by the chunk's number.
    seen: HashMap<usize, u32>,
    packs: Packs,
    /// Known packs that the index needs, by their number in `known`: their number in the index.
    reused: HashMap<u32, u32>,
    report: Report,
}

/// A chunk of a batch.
struct Piece {
    position: u64,
    name: ChunkName,
    len: u32,
    /// Compressed, if the store does not have it.
    frame: Option<Vec<u8>>,
}

impl<'a> Cut<'a> {
    fn new(known: &'a Known, index: Index, packs: Packs) -> Self {
        let report = Report { image_bytes: index.image_len, ..Report::default() };
        let (numbers, seen, reused) = Default::default();
        Self { known, index, numbers, seen, packs, reused, report }
    }

    /// Takes in a batch; `None` if packs cannot be sent any more.
    fn take(&mut self, batch: &Batch, level: i32) -> Result<Option<()>> {
        let size = self.index.chunk_size.bytes();
        let pieces: Vec<Result<Piece>> = batch
            .bytes
            .par_chunks(size as usize)
            .enumerate()
            .filter(|(_, bytes)| !is_zero(bytes))
            .map(|(number, bytes)| {
                let position = batch.start / size + number as u64;
                let name = ChunkName::of(bytes);
                let is_known = self.known.find(&name).is_some() || self.numbers.contains_key(&name);
                let compress = || zstd::bulk::compress(bytes, level);
                let frame = (!is_known).then(compress).transpose();
                let frame = frame.map_err(|error| Error::Request("compressing".into(), error))?;
                Ok(Piece { position, name, len: bytes.len() as u32, frame })
            })
            .collect();
        for piece in pieces {
            let Piece { position, name, len, frame } = piece?;
            self.report.data_bytes += u64::from(len);
            let number = match self.numbers.get(&name) {
                Some(&number) => number,
                None => {
                    let number = self.index.chunks.len();
                    let record = match (self.known.find(&name), frame) {
                        (Some(location), _) => {
                            let next = self.reused.len() as u32;
                            let pack = *self.reused.entry(location.pack).or_insert(next);
                            let (offset, stored) = (location.offset, location.stored);
                            Record { name, pack, offset, stored, len }
                        }
                        (None, Some(frame)) => {
                            self.report.new_chunks += 1;
                            self.report.new_bytes += u64::from(len);
                            self.report.stored_bytes += frame.len() as u64;
                            let Some(pack) = self.packs.add(number, name, len, &frame) else {
                                return Ok(None);
                            };
                            self.seen.insert(number, pack);
                            Record { name, pack, offset: 0, stored: frame.len() as u32, len }
                        }
                        // Compressed unless it is known or has a number.
                        (None, None) => unreachable!("a chunk without its bytes"),
                    };
                    self.index.chunks.push(record);
                    self.numbers.insert(name, number);
                    number
                }
            };
            self.index.set(position, number);
        }
        Ok(Some(()))
    }

    /// The index, now that the new packs have names.
    fn complete(mut self, sent: &[BlobName]) -> (Index, Report) {
        let mut reused: Vec<(u32, u32)> = self.reused.into_iter().collect();
        reused.sort_by_key(|(_, number)| *number);
        self.index.packs =
            reused.iter().map(|(known, _)| self.known.packs[*known as usize]).collect();
        let first = self.index.packs.len() as u32;
        self.index.packs.extend(sent);
        for (number, offset) in self.packs.offsets() {
            let chunk = &mut self.index.chunks[number];
            chunk.offset = offset;
            chunk.pack = first + self.seen[&number];
        }
        self.report.chunks = self.index.chunks.len() as u64;
        (self.index, self.report)
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|&byte| byte == 0)
}

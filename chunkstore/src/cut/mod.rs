//! An image cut into chunks.
//!
//! One thread reads ([`source`]), all cores hash and compress, one puts packs into the store ([`upload`]); packs first, the index
//! last. What is in memory at any time are a few batches and packs, whatever the image's size, and the index.

mod batch;
mod content;
mod source;
mod tree;
mod upload;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use rayon::prelude::*;

use crate::chunking::Chunking;
use crate::error::{Error, Result};
use crate::frame;
use crate::index::{Index, Record};
use crate::known::Known;
use crate::name::ChunkName;
use crate::signature::Sign;
use crate::store::{BlobName, Store};
pub(crate) use batch::{Batch, Feed};
use source::Source;
use upload::Packs;

/// How an image is cut.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub chunking: Chunking,
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

/// Cuts the image into `store`: a file or a block device; or a directory, of which an EROFS image is made first. `progress` hears
/// how many bytes of how many are done.
pub fn cut(
    store: &Store,
    image: &Path,
    options: &Options,
    progress: impl FnMut(u64, u64),
) -> Result<Report> {
    if image.is_dir() {
        let made = tree::image(image)?;
        return cut_file(store, made.path(), options, progress);
    }
    cut_file(store, image, options, progress)
}

/// What an image is called if nothing is said: as its file or directory.
pub fn name(image: &Path) -> String {
    let named = image.file_name().map(OsStr::to_owned);
    // Such as that of `.`.
    let named = named.or_else(|| image.canonicalize().ok()?.file_name().map(OsStr::to_owned));
    named.unwrap_or_default().to_string_lossy().into_owned()
}

fn cut_file(
    store: &Store,
    image: &Path,
    options: &Options,
    progress: impl FnMut(u64, u64),
) -> Result<Report> {
    let unreadable = |error| Error::Image(image.to_owned(), error);
    let source = Source::open(image).map_err(unreadable)?;
    let index = Index::new(&options.label, options.chunking, source.len()).map_err(unreadable)?;
    let read = |feed: Feed| source.read(options.chunking, &feed);
    let cut = fill(store, index, options.level, read, progress)?;
    if source.has_changed().map_err(unreadable)? {
        return Err(Error::Changed(image.to_owned()));
    }
    cut.publish(store, options.replace, options.signer.as_deref())
}

/// Puts the chunks that `read` gives into the store, and their places into the index, which is empty yet.
pub(crate) fn fill(
    store: &Store,
    index: Index,
    level: i32,
    read: impl FnOnce(Feed) + Send,
    mut progress: impl FnMut(u64, u64),
) -> Result<Done> {
    let known = Known::read(store)?;
    let len = index.image_len;
    let (feed, batches) = batch::feed();
    let (packs, to_send) = sync_channel(1);
    std::thread::scope(|scope| -> Result<Done> {
        // Dropped on the way out, whatever happens: then neither thread waits any more.
        let mut state = Cut::new(&known, index, Packs::new(packs));
        let batches = batches;
        let uploader = scope.spawn(|| upload::put_all(store, to_send));
        scope.spawn(|| read(feed));
        while let Some(batch) = batches.next() {
            let batch = batch?;
            // If the uploader has given up, it says why below.
            if state.take(&batch, level)?.is_none() {
                break;
            }
            progress(batch.end(), len);
            batches.done(batch);
        }
        let closed = state.packs.close();
        // Whoever reads may still want to hand on something.
        drop(batches);
        let sent = uploader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        closed.ok_or(Error::Removed)?;
        Ok(state.complete(sent))
    })
}

/// A cut whose chunks are in the store.
pub(crate) struct Done {
    index: Index,
    /// The packs that are new.
    sent: Vec<BlobName>,
    report: Report,
}

impl Done {
    /// Puts its index there, if all packs are that it needs.
    pub(crate) fn publish(
        self,
        store: &Store,
        replace: bool,
        signer: Option<&dyn Sign>,
    ) -> Result<Report> {
        for pack in self.index.packs.iter().filter(|pack| !self.sent.contains(pack)) {
            if !store.has_pack(pack)? {
                return Err(Error::Removed);
            }
        }
        store.put_signed_index(&self.index, replace, signer)?;
        Ok(self.report)
    }
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
    /// Where it begins in the image.
    start: u64,
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
        let pieces: Vec<Result<Piece>> = batch
            .pieces
            .par_iter()
            .map(|range| (range.start, &batch.bytes[range.clone()]))
            .filter(|(_, bytes)| !is_zero(bytes))
            .map(|(at, bytes)| {
                let start = batch.start + at as u64;
                let name = ChunkName::of(bytes);
                let is_known = self.known.find(&name).is_some() || self.numbers.contains_key(&name);
                let compress = || frame::compress(bytes, level);
                let frame = (!is_known).then(compress).transpose();
                let frame = frame.map_err(|error| Error::Request("compressing".into(), error))?;
                Ok(Piece { start, name, len: bytes.len() as u32, frame })
            })
            .collect();
        for piece in pieces {
            let Piece { start, name, len, frame } = piece?;
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
            self.index.place(start, number);
        }
        Ok(Some(()))
    }

    /// The index, now that the new packs have names.
    fn complete(mut self, sent: Vec<BlobName>) -> Done {
        let mut reused: Vec<(u32, u32)> = self.reused.into_iter().collect();
        reused.sort_by_key(|(_, number)| *number);
        self.index.packs =
            reused.iter().map(|(known, _)| self.known.packs[*known as usize]).collect();
        let first = self.index.packs.len() as u32;
        self.index.packs.extend(&sent);
        self.index.close();
        for (number, offset) in self.packs.offsets() {
            let chunk = &mut self.index.chunks[number];
            chunk.offset = offset;
            chunk.pack = first + self.seen[&number];
        }
        self.report.chunks = self.index.chunks.len() as u64;
        Done { index: self.index, sent, report: self.report }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|&byte| byte == 0)
}

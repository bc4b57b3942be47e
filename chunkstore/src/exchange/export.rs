//! An image given to casync and desync.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::caibx::{Caibx, Digest, Id, Item};
use super::castr::Castr;
use crate::chunking::Chunking;
use crate::error::{Error, Result};
use crate::fetch;
use crate::frame;
use crate::index::{Index, Record};
use crate::store::Store;

/// How many chunks are worked on at once: enough for all cores, and bounded.
const ROUND: usize = 256;
/// zstd's level for chunks of zeros.
const LEVEL: i32 = 3;

/// What an export did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The image's size, in bytes.
    pub image_bytes: u64,
    /// Chunks of the image, as often as it has each.
    pub chunks: u64,
    /// Chunks that the directory did not have.
    pub new_chunks: u64,
}

/// Writes an image's index to the file `caibx`, which is replaced when all its chunks are in the directory `castr`. `progress`
/// hears how many of how many chunks are done.
pub fn export(
    store: &Store,
    index: &Index,
    caibx: &Path,
    castr: &Path,
    digest: Digest,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report> {
    let unwritable = |error| Error::Output(castr.to_owned(), error);
    let castr = Castr::open(castr, true).map_err(unwritable)?;
    let mut report = Report { image_bytes: index.image_len, ..Report::default() };
    let mut ids = Vec::with_capacity(index.chunks.len());
    for round in index.chunks.chunks(ROUND) {
        let chunks = put(store, index, round, &castr, digest)?;
        report.new_chunks += chunks.iter().filter(|(_, is_new)| *is_new).count() as u64;
        ids.extend(chunks.into_iter().map(|(id, _)| id));
        progress(ids.len() as u64, index.chunks.len() as u64);
    }
    let mut zeros = Zeros { castr: &castr, digest, ids: HashMap::new(), new: 0 };
    let mut items = Vec::new();
    for position in 0..index.len() {
        let (start, len) = (index.start_of(position), index.len_at(position));
        match index.at(position) {
            Some(chunk) => items.push(Item { end: start + len, id: ids[chunk] }),
            None => {
                let mut end = start;
                for len in parts(len, index.chunking.most()) {
                    end += len;
                    items.push(Item { end, id: zeros.id(len)? });
                }
            }
        }
    }
    report.new_chunks += zeros.new;
    report.chunks = items.len() as u64;
    castr.sync()?;
    let bytes = Caibx { digest, bounds: bounds(index.chunking), items }.to_bytes();
    let written = statify_files::new_file::write(caibx, &bytes);
    written.map_err(|error| Error::Output(caibx.to_owned(), error))?;
    Ok(report)
}

fn bounds(chunking: Chunking) -> [u64; 3] {
    match chunking {
        Chunking::Fixed(size) => [size.bytes(); 3],
        Chunking::ContentDefined(bounds) => {
            [bounds.least(), bounds.average(), bounds.most()].map(u64::from)
        }
    }
}

/// Puts chunks into the directory: their ids there, and whether they are new to it.
fn put(
    store: &Store,
    index: &Index,
    chunks: &[Record],
    castr: &Castr,
    digest: Digest,
) -> Result<Vec<(Id, bool)>> {
    let records: Vec<&Record> = chunks.iter().collect();
    let runs = fetch::runs(&records);
    let done: Vec<Result<Vec<(Id, bool)>>> = runs
        .par_iter()
        .map(|run| {
            let chunks = fetch::frames(store, index, run)?;
            let put = |(frame, bytes): (Vec<u8>, Vec<u8>)| -> Result<(Id, bool)> {
                let id = digest.of(&bytes);
                Ok((id, castr.put(&id, || Ok(frame))?))
            };
            chunks.into_iter().map(put).collect()
        })
        .collect();
    let done: Vec<Vec<(Id, bool)>> = done.into_iter().collect::<Result<_>>()?;
    Ok(done.concat())
}

/// A run of zeros in parts, none longer than `most`, and none shorter than it must be: they are those that it was cut into, or
/// about as long.
fn parts(len: u64, most: u64) -> impl Iterator<Item = u64> {
    let count = len.div_ceil(most);
    (0..count).map(move |part| len / count + u64::from(part < len % count))
}

/// Chunks of zeros, which are chunks like others there.
struct Zeros<'a> {
    castr: &'a Castr,
    digest: Digest,
    /// By length.
    ids: HashMap<u64, Id>,
    new: u64,
}

impl Zeros<'_> {
    fn id(&mut self, len: u64) -> Result<Id> {
        if let Some(id) = self.ids.get(&len) {
            return Ok(*id);
        }
        let bytes = vec![0; len as usize];
        let id = self.digest.of(&bytes);
        self.new += u64::from(self.castr.put(&id, || frame::compress(&bytes, LEVEL))?);
        self.ids.insert(len, id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_cut_evenly() {
        let parts = |len, most| parts(len, most).collect::<Vec<_>>();
        assert!(parts(0, 10).is_empty());
        assert_eq!(parts(30, 10), [10, 10, 10]);
        assert_eq!(parts(31, 10), [8, 8, 8, 7]);
        assert_eq!(parts(5, 10), [5]);
    }
}

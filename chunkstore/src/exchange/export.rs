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
    let bounds = bounds(index.chunking);
    let mut zeros = Zeros { castr: &castr, digest, ids: HashMap::new(), new: 0 };
    let mut items = Vec::new();
    for position in 0..index.len() {
        let (start, len) = (index.start_of(position), index.len_at(position));
        match index.at(position) {
            Some(chunk) => items.push(Item { end: start + len, id: ids[chunk] }),
            None => {
                let mut end = start;
                for len in parts(len, bounds, start + len == index.image_len) {
                    end += len;
                    items.push(Item { end, id: zeros.id(len)? });
                }
            }
        }
    }
    report.new_chunks += zeros.new;
    report.chunks = items.len() as u64;
    castr.sync()?;
    let bytes = Caibx { digest, bounds, items }.to_bytes();
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
            let chunks = fetch::with_frames(store, index, run)?;
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

/// A run of zeros in parts, none longer than `most`, and none shorter than `least` but the image's last one: as whoever cut it
/// has most likely done, so that chunks are the same again.
fn parts(len: u64, [least, _, most]: [u64; 3], is_last: bool) -> Vec<u64> {
    let (whole, rest) = (len / most, len % most);
    if rest == 0 || rest >= least || is_last {
        let parts = (0..whole).map(|_| most);
        return parts.chain(Some(rest).filter(|rest| *rest > 0)).collect();
    }
    let count = whole + 1;
    (0..count).map(|part| len / count + u64::from(part < len % count)).collect()
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
    fn zeros_are_cut_as_others_would() {
        let parts = |len, is_last| parts(len, [4, 6, 10], is_last);
        assert!(parts(0, true).is_empty());
        assert_eq!(parts(30, false), [10, 10, 10]);
        assert_eq!(parts(34, false), [10, 10, 10, 4]);
        assert_eq!(parts(31, false), [8, 8, 8, 7]);
        assert_eq!(parts(31, true), [10, 10, 10, 1]);
        assert_eq!(parts(3, true), [3]);
    }
}

//! An image taken from casync and desync.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::OFlags;

use super::caibx::{self, Caibx, Item};
use super::castr::Castr;
use crate::chunking::{Bounds, Chunking};
use crate::cut::{self, Batch, Feed};
use crate::error::{Error, Result};
use crate::index::Index;
use crate::size::ChunkSize;
use crate::store::Store;

/// How much is read at once, in bytes.
const BATCH: u64 = 16 << 20;

/// What becomes of an image.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is called in the store.
    pub label: String,
    /// Put the index in the place of another image's of this name.
    pub replace: bool,
    /// zstd's level.
    pub level: i32,
}

/// Puts the image of the index file `caibx` into the store, with chunks from the directory `castr`, each held against its id.
/// `progress` hears how many of how many bytes are done.
pub fn import(
    store: &Store,
    caibx: &Path,
    castr: &Path,
    options: &Options,
    progress: impl FnMut(u64, u64),
) -> Result<cut::Report> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::Image(path, error)
    };
    let bytes = read(caibx).map_err(unreadable(caibx))?;
    let refused = |why| Error::Caibx(caibx.to_owned(), why);
    let theirs = Caibx::parse(&bytes).map_err(refused)?;
    drop(bytes);
    let chunking = chunking(&theirs).ok_or_else(|| {
        refused("its chunks may be smaller than 1 KiB or larger than 4 MiB, or all of them larger than 1 MiB")
    })?;
    let index = Index::new(&options.label, chunking, theirs.image_len());
    let index = index.map_err(unreadable(caibx))?;
    let castr = Castr::open(castr, false).map_err(unreadable(castr))?;
    let read = |feed: Feed| give(&theirs, &castr, &feed);
    cut::fill(store, index, options.level, read, progress)?.publish(store, options.replace, None)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe is not waited for.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(caibx::MOST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > caibx::MOST {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// Where the image is cut: after every so many bytes if all its chunks are as long as they may be.
fn chunking(theirs: &Caibx) -> Option<Chunking> {
    let [least, average, most] = theirs.bounds;
    let but_last = theirs.items.split_last().map_or(&[][..], |(_, others)| others);
    let mut ends = (1..).map(|number: u64| number.saturating_mul(most));
    let is_even = but_last.iter().all(|item| ends.next() == Some(item.end));
    match ChunkSize::new(most).filter(|_| least == most && is_even) {
        Some(size) => Some(Chunking::Fixed(size)),
        None => Bounds::new(least, average, most).map(Chunking::ContentDefined),
    }
}

/// Reads the chunks, in order.
fn give(theirs: &Caibx, castr: &Castr, feed: &Feed) {
    let most = theirs.bounds[2];
    // Large images are full of them.
    let zeros = theirs.digest.of(&vec![0; most as usize]);
    let mut start = 0;
    let mut rest = &theirs.items[..];
    while let Some(first) = rest.first() {
        let is_zeros = |at: u64, item: &Item| item.end - at == most && item.id == zeros;
        if is_zeros(start, first) {
            start = first.end;
            rest = &rest[1..];
            continue;
        }
        let mut at = start;
        let is_next = |item: &&Item| {
            let is_next = item.end - start <= BATCH && !is_zeros(at, item);
            at = item.end;
            is_next
        };
        // Each chunk is smaller than a batch, so that there is one at least.
        let (items, others) = rest.split_at(rest.iter().take_while(is_next).count());
        let batch = batch(start, items, theirs, castr, feed);
        if !feed.give(batch) {
            return;
        }
        start = items.last().map_or(start, |item| item.end);
        rest = others;
    }
}

fn batch(start: u64, items: &[Item], theirs: &Caibx, castr: &Castr, feed: &Feed) -> Result<Batch> {
    let end = items.last().map_or(start, |item| item.end);
    let mut bytes = feed.room((end - start) as usize);
    let mut room = &mut bytes[..];
    let (mut parts, mut pieces, mut at) = (Vec::new(), Vec::new(), 0);
    for item in items {
        let end = (item.end - start) as usize;
        let (part, behind) = room.split_at_mut(end - at);
        parts.push((item, part));
        pieces.push(at..end);
        (room, at) = (behind, end);
    }
    let get = |(item, part): (&Item, &mut [u8])| castr.get(&item.id, theirs.digest, part);
    parts.into_par_iter().try_for_each(get)?;
    Ok(Batch { start, bytes, pieces })
}

#[cfg(test)]
mod tests {
    use super::super::caibx::Digest;
    use super::*;

    #[test]
    fn where_it_is_cut() {
        let caibx = |bounds, ends: &[u64]| Caibx {
            digest: Digest::Sha256,
            bounds,
            items: ends.iter().map(|end| Item { end: *end, id: [0; 32] }).collect(),
        };
        let size = 65536;
        let fixed = Some(Chunking::Fixed(ChunkSize::new(size).unwrap()));
        assert_eq!(chunking(&caibx([size; 3], &[size, 2 * size, 2 * size + 5])), fixed);
        assert_eq!(chunking(&caibx([size; 3], &[])), fixed);
        let differing = |bounds, ends: &[u64]| match chunking(&caibx(bounds, ends)) {
            Some(Chunking::ContentDefined(bounds)) => Some(u64::from(bounds.most())),
            _ => None,
        };
        assert_eq!(differing([size; 3], &[size, 2 * size - 1, 3 * size - 1]), Some(size));
        assert_eq!(differing([16384, size, 262_144], &[262_144]), Some(262_144));
        assert_eq!(chunking(&caibx([256, size, 262_144], &[])), None);
        assert_eq!(chunking(&caibx([size, 1 << 22, 1 << 24], &[])), None);
    }
}

//! An image, out of a store, from its beginning to its end.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use crate::error::Result;
use crate::fetch;
use crate::index::{Index, Record};
use crate::store::Store;

/// How many chunks are worked on at once: enough for all cores, and bounded.
const ROUND: usize = 256;

/// An image.
#[derive(Debug)]
pub struct Image<'a> {
    store: &'a Store,
    index: &'a Index,
}

/// Why an image could not be written somewhere.
#[derive(Debug)]
pub enum Failed {
    /// It could not be had.
    Store(crate::Error),
    /// It could not be written.
    Output(io::Error),
}

impl<'a> Image<'a> {
    /// That of an index.
    pub fn new(store: &'a Store, index: &'a Index) -> Self {
        Self { store, index }
    }

    /// Writes it, zeros as well. `progress` hears how many bytes are done.
    pub fn write_to(
        &self,
        out: &mut impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<(), Failed> {
        let mut at = 0;
        self.each(|start, bytes| {
            zeros(out, start - at)?;
            out.write_all(bytes)?;
            at = start + bytes.len() as u64;
            progress(at);
            Ok(())
        })?;
        zeros(out, self.index.image_len - at).and_then(|()| out.flush()).map_err(Failed::Output)
    }

    /// Writes it into a new file, which has holes where it has zeros.
    pub fn write_file(&self, file: &File, mut progress: impl FnMut(u64)) -> Result<(), Failed> {
        file.set_len(self.index.image_len).map_err(Failed::Output)?;
        self.each(|start, bytes| {
            file.write_all_at(bytes, start)?;
            progress(start + bytes.len() as u64);
            Ok(())
        })
    }

    /// Hands on every chunk, in the order of the image: where it begins, and its bytes.
    fn each(&self, mut take: impl FnMut(u64, &[u8]) -> io::Result<()>) -> Result<(), Failed> {
        let filled: Vec<(u64, usize)> = self.index.filled().collect();
        for round in filled.chunks(ROUND) {
            let records: Vec<&Record> =
                round.iter().map(|(_, chunk)| &self.index.chunks[*chunk]).collect();
            let runs = fetch::runs(&records);
            let fetch = |run: &&[&Record]| fetch::chunks(self.store, self.index, run);
            let chunks: Vec<Result<Vec<Vec<u8>>>> = runs.par_iter().map(fetch).collect();
            let mut positions = round.iter().map(|(position, _)| *position);
            for run in chunks {
                for (bytes, position) in run.map_err(Failed::Store)?.iter().zip(&mut positions) {
                    take(self.index.start_of(position), bytes).map_err(Failed::Output)?;
                }
            }
        }
        Ok(())
    }
}

fn zeros(out: &mut impl Write, mut count: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while count > 0 {
        let some = count.min(ZEROS.len() as u64);
        out.write_all(&ZEROS[..some as usize])?;
        count -= some;
    }
    Ok(())
}

//! Two images of a store, compared: by their chunks, by their bytes ([`ranges`]), and by their files ([`files`]) if both are file
//! systems that can be read: ext4, by the crate `ext4-view`, or EROFS, by `erofs-rs`. Nothing is mounted.

mod erofs;
mod ext4;
mod file_system;
mod files;
mod ranges;
mod reader;

use std::collections::HashMap;
use std::sync::Arc;

pub use files::{Change, Files, What};
pub use ranges::{Range, Ranges};

use crate::error::Result;
use crate::index::Index;
use crate::name::ChunkName;
use crate::store::Store;
use reader::Reader;

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Distinct chunks that only the first image has.
    pub first_only: Chunks,
    /// Those that only the second has.
    pub second_only: Chunks,
    /// Those that both have.
    pub both: Chunks,
    /// Where their bytes differ.
    pub ranges: Ranges,
    /// Which files differ; `None` if that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_files: Option<String>,
}

/// Some chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Chunks {
    /// How many.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The same as they are stored.
    pub stored_bytes: u64,
}

impl Chunks {
    fn add(&mut self, (len, stored): (u32, u32)) {
        self.chunks += 1;
        self.bytes += u64::from(len);
        self.stored_bytes += u64::from(stored);
    }
}

/// Compares two images. Of ranges and of files the first `most` of each kind are named.
pub fn diff(store: Store, first: Index, second: Index, most: usize) -> Result<Report> {
    let (first_only, second_only, both) = chunks(&first, &second);
    let ranges = ranges::ranges(&first, &second, most);
    let mut report = Report { first_only, second_only, both, ranges, files: None, no_files: None };
    let store = Arc::new(store);
    let [first, second] = [first, second].map(|index| Arc::new(Reader::new(store.clone(), index)));
    match files::files(&first, &second, most) {
        Ok(files) => report.files = Some(files),
        Err(why) => {
            // What the store does not give is no property of the images.
            for reader in [first, second] {
                reader.failure()?;
            }
            report.no_files = Some(why);
        }
    }
    Ok(report)
}

fn chunks(first: &Index, second: &Index) -> (Chunks, Chunks, Chunks) {
    let distinct = |index: &Index| -> HashMap<ChunkName, (u32, u32)> {
        index.chunks.iter().map(|chunk| (chunk.name, (chunk.len, chunk.stored))).collect()
    };
    let (first, mut second) = (distinct(first), distinct(second));
    let (mut only, mut both, mut rest) = <(Chunks, Chunks, Chunks)>::default();
    for (name, sizes) in first {
        match second.remove(&name) {
            Some(_) => both.add(sizes),
            None => only.add(sizes),
        }
    }
    second.into_values().for_each(|sizes| rest.add(sizes));
    (only, rest, both)
}

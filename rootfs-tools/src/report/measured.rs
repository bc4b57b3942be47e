//! What is measured of the tree's files, and of the same tree with the originals in place of the
//! converted programs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::figures::times;
use crate::error::Result;
use crate::journal::record::{Record, Replacement};
use crate::measure::chunks::{self, Counted, SIZES, Unique};
use crate::measure::originals::{self, Files, Originals};
use crate::measure::{ext4_image, physical};
use crate::tree::Tree;

/// What a report is to have besides what the journal says.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Chunks, cut for each file: all files are read.
    pub chunks: bool,
    /// Chunks, cut over an ext4 image.
    pub image: Option<ImageWanted>,
    /// Directories with statically linked programs.
    pub statics: Vec<PathBuf>,
}

/// How an image is made that is cut.
#[derive(Clone, Debug)]
pub struct ImageWanted {
    /// In this directory.
    pub scratch: PathBuf,
    /// Files begin at multiples of so many bytes: a power of two, 4096 at least.
    pub cluster: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// As [`super::contents::Report::originals_missing`].
    pub originals_missing: Option<String>,
    /// As [`super::contents::Image::physical`].
    pub physical: Physical,
    /// As [`super::contents::Report::chunks`].
    pub chunks: Option<ChunkTable>,
    /// As [`super::contents::Report::image_chunks`].
    pub image_chunks: Option<ChunkTable>,
}

/// Bytes on the disk, what files share counting once; none where the file system does not say, or the
/// originals are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Physical {
    /// With the originals.
    pub original: Option<u64>,
    /// Now.
    pub converted: Option<u64>,
    /// Their quotient.
    pub times: Option<f64>,
}

/// The paper's Table 3.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChunkTable {
    /// The smallest chunks first.
    pub sizes: Vec<ChunkRow>,
    /// Files that could not be read and are left out.
    pub unread: u64,
}

/// Chunks of a size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChunkRow {
    /// In bytes.
    pub size: u64,
    /// With the originals, if they are there.
    pub original: Option<Unique>,
    /// Now.
    pub converted: Unique,
    /// The quotient of the numbers of unique chunks.
    pub chunk_times: Option<f64>,
    /// The quotient of their bytes.
    pub byte_times: Option<f64>,
}

/// Measures what is wanted.
pub fn measure(
    tree: &Tree,
    records: &[Record],
    replaced: &[&Replacement],
    wanted: &Wanted,
) -> Result<Measured> {
    let (originals, originals_missing) = match Originals::find(tree, records, replaced) {
        Ok(originals) => (Some(originals), None),
        Err(sentence) => (None, Some(sentence)),
    };
    let files = originals::files(tree, originals.as_ref())?;
    let chunks = wanted.chunks.then(|| per_file(&files)).transpose()?;
    let image = wanted.image.as_ref();
    let image_chunks = image.map(|image| over_image(tree, originals.as_ref(), image));
    Ok(Measured {
        originals_missing,
        physical: physical(&files),
        chunks,
        image_chunks: image_chunks.transpose()?,
    })
}

fn physical(files: &Files) -> Physical {
    let size = |paths: &[PathBuf]| Some(physical::of_files(paths)? + files.others);
    let original = files.before.as_deref().and_then(size);
    let converted = size(&files.now);
    let times = original.zip(converted).map(|(original, converted)| times(converted, original));
    Physical { original, converted, times }
}

fn per_file(files: &Files) -> Result<ChunkTable> {
    let original = files.before.as_deref().map(chunks::of_files).transpose()?;
    Ok(table(original, chunks::of_files(&files.now)?))
}

fn over_image(
    tree: &Tree,
    originals: Option<&Originals>,
    image: &ImageWanted,
) -> Result<ChunkTable> {
    let ImageWanted { scratch, cluster } = image;
    // One after the other, so that there is one image at a time.
    let count = |dir: &Path| chunks::of_one(dir, &ext4_image::make(dir, scratch, *cluster)?);
    let converted = count(&tree.path)?;
    let original = originals.map(|originals| count(&originals.directory(tree, scratch)?));
    Ok(table(original.transpose()?, converted))
}

fn table(original: Option<Counted>, converted: Counted) -> ChunkTable {
    let row = |(index, size): (usize, u64)| {
        let converted = converted.sizes[index];
        let original = original.map(|original| original.sizes[index]);
        let quotient = |number: fn(&Unique) -> u64| {
            original.map(|original| times(number(&converted), number(&original)))
        };
        ChunkRow {
            size,
            original,
            converted,
            chunk_times: quotient(|unique| unique.unique_chunks),
            byte_times: quotient(|unique| unique.unique_bytes),
        }
    };
    ChunkTable {
        sizes: SIZES.into_iter().enumerate().map(row).collect(),
        unread: converted.unread.max(original.map_or(0, |original| original.unread)),
    }
}

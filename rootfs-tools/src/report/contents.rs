//! What a report says. These are the fields of its JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use statify_files::path_text;

use super::figures::Table;
use super::measured::{ChunkTable, Physical};
use super::program::Program;
use super::statics;
use crate::journal::record::Size;

/// What a conversion cost, all of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The tree.
    #[serde(with = "path_text")]
    pub root: PathBuf,
    /// The programs, a file with several names being one.
    pub programs: Vec<Program>,
    /// Table 1.
    pub table: Table,
    /// Table 1 of each directory's programs, by the first name.
    pub directories: BTreeMap<String, Table>,
    /// What is embedded besides the programs, the most bytes first.
    pub libraries: Vec<Library>,
    /// How many programs grew how much.
    pub distribution: Vec<Class>,
    /// Programs that could not be converted.
    pub failures: Vec<Failure>,
    /// How many of them for which reason.
    pub failure_reasons: BTreeMap<String, usize>,
    /// What the last run left as it is, by kind.
    pub left: BTreeMap<String, u64>,
    /// Of that, programs for machines whose programs are not converted there.
    pub foreign: Vec<Failure>,
    /// The whole tree.
    pub image: Image,
    /// What of it is the pool that came with the conversion, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Why nothing can be measured of the originals, if so.
    pub originals_missing: Option<String>,
    /// Chunks, cut for each file, if they were asked for.
    pub chunks: Option<ChunkTable>,
    /// Chunks, cut over an ext4 image of the tree, if they were asked for.
    pub image_chunks: Option<ChunkTable>,
    /// Table 2, if static programs were given to compare with.
    pub statics: Option<statics::Table>,
}

/// An embedded library.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Library {
    /// Its path in the tree.
    pub path: String,
    /// How many programs embed it.
    pub programs: usize,
    /// Bytes of it in all programs together.
    pub embedded: u64,
    /// How much that is of all that is embedded besides the programs, in percent.
    pub percent: f64,
}

/// Programs that grew alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// At least so many times.
    pub from: u64,
    /// Less than so many times; none for all that grew more.
    pub below: Option<u64>,
    /// How many.
    pub programs: usize,
}

/// A program that could not be converted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// All names, from ROOT on.
    pub names: Vec<String>,
    /// The kind of reason.
    pub reason: String,
    /// The sentence.
    pub message: String,
}

/// A pool: libraries that programs have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Its path in the tree.
    pub path: String,
    /// How many libraries are in it.
    pub files: usize,
    /// The sum of their sizes, in bytes.
    pub size: u64,
}

/// The whole tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Image {
    /// Before the first run.
    pub original: Size,
    /// Now.
    pub converted: Size,
    /// The sizes' quotient.
    pub apparent_times: f64,
    /// The quotient of what the file system counts for them.
    pub allocated_times: f64,
    /// Its blocks, what files share counting once.
    pub physical: Physical,
}

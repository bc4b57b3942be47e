//! What a run tells while it goes on, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::journal::record::Failure;

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// The tree is being copied.
    Copying,
    /// The archive is being unpacked.
    Unpacking,
    /// The archive is being written anew.
    Packing,
    /// A run that had not come to its end was completed: so many programs.
    Recovered(usize),
    /// So many files will be converted.
    Found(usize),
    /// These names stand for a converted program.
    Converted(&'a [PathBuf]),
    /// This program stays as it is.
    Failed(&'a Failure),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The tree with converted programs.
    pub tree: PathBuf,
    /// Programs that were converted.
    pub converted: usize,
    /// Programs that were not.
    pub failures: Vec<Failure>,
    /// What stays as it is, by kind.
    pub left: BTreeMap<String, u64>,
    /// Of that, programs for machines whose programs are not converted here, and why.
    pub foreign: Vec<Failure>,
    /// What was wrong with the place of the cache, in a sentence.
    pub cache_failures: Option<String>,
    /// What a user should know, each in a sentence.
    pub notices: Vec<String>,
    /// Bytes of converted programs in blocks that they share with what is embedded.
    pub shared: u64,
}

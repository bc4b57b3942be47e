//! What a run writes down, and where: what vouches for originals outside of the tree first, and then in it.

use crate::error::Result;
use crate::journal::Journal;
use crate::journal::record::Record;

/// The journals of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// The tree's.
    tree: Journal,
    /// The one outside of it, where originals are elsewhere.
    ledger: Option<Journal>,
}

impl Recorder {
    /// With these.
    pub fn new(tree: Journal, ledger: Option<Journal>) -> Self {
        Self { tree, ledger }
    }

    /// Outside of the tree only: how a run begins, and what is about to be replaced.
    pub(crate) fn vouch(&mut self, records: &[Record]) -> Result<()> {
        match &mut self.ledger {
            Some(ledger) if !records.is_empty() => ledger.append(records),
            _ => Ok(()),
        }
    }

    /// In the tree only.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        if records.is_empty() { Ok(()) } else { self.tree.append(records) }
    }
}

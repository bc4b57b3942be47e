//! The journal: what was done to a tree, in the order it was done; appended to and flushed before the
//! tree is changed, so that after any end a second run and [`crate::run::restore`] know what to look for.
//!
//! The tree's own is the word of whoever can write to the tree: it says where to look, and nothing that it
//! says leads out of the tree. What lies outside is told by the journal there ([`crate::journal::ledger`]).
//!
//! Here is what writes and reads journals ([`chain`] is the format), what follows from their records
//! ([`history`], [`told`]), and where originals are kept ([`backup`]).

pub(crate) mod backup;
mod chain;
mod file;
pub(crate) mod history;
pub(crate) mod ledger;
pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod state;
pub(crate) mod told;

pub use chain::{Damage, Parsed, parse};
pub(crate) use file::{Journal, read, remove};

//! Converts the programs of a whole root file system into self-contained files, safely, and reports
//! what it cost.
//!
//! [`convert::convert`] is a run, and reads as its phases; [`restore::restore`] undoes it.
//! [`check::check`] holds the converted programs against their originals.

pub mod archive;
pub mod backup;
pub mod cache;
pub mod check;
pub mod chunks;
pub mod convert;
pub mod copy_tree;
mod error;
pub mod estimate;
pub mod ext4_image;
pub mod failure;
pub mod fault;
pub mod find;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod measure;
pub mod oci;
pub mod originals;
pub mod packed;
pub mod partial;
pub mod patterns;
pub mod physical;
pub mod plan;
pub mod recorder;
pub mod recover;
pub mod reflink;
pub mod replace;
pub mod report;
pub mod restore;
pub mod run_id;
pub mod state;
pub mod tree;
pub mod unit;

pub use error::{Error, Result};

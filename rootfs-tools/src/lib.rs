//! Converts the programs of a whole root file system into self-contained files, safely, and reports
//! what it cost.
//!
//! [`convert::convert`] is a run, and reads as its phases; [`restore::restore`] undoes it.

pub mod archive;
pub mod backup;
pub mod cache;
pub mod contents;
pub mod convert;
pub mod copy_tree;
mod error;
pub mod failure;
pub mod find;
pub mod journal;
pub mod lock;
pub mod measure;
pub mod metadata;
pub mod oci;
pub mod path_text;
pub mod plan;
pub mod recover;
pub mod replace;
pub mod report;
pub mod restore;
pub mod state;
pub mod tree;
pub mod unit;

pub use error::{Error, Result};

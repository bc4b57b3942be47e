//! Converts the programs of a whole root file system into self-contained files, safely, and reports
//! what it cost.
//!
//! [`run::convert::convert`] is a run, and reads as its phases; [`run::restore::restore`] undoes it.
//! [`check::check`] holds the converted programs against their originals, and [`boot::boot`] whole guests.
//!
//! A module imports only those that come before it here: errors; [`tree`]; [`journal`]; the tree's pool; [`programs`];
//! what is measured; [`cache`]; [`report`]; [`run`]; [`packed`], for archives and images; [`check`]; [`boot`].

pub mod boot;
pub mod cache;
pub mod check;
mod error;
pub mod journal;
mod measure;
pub mod packed;
pub mod pool;
pub mod programs;
pub mod report;
pub mod run;
pub mod tree;

pub use error::{Error, Result};

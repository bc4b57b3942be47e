//! Turns any dynamic executable into one self-contained file.
//!
//! [`convert`] does it, and reads as its phases; DESIGN.md maps each phase to the file that holds
//! it. The rest that is public is for who converts many.

mod capture;
mod captured_cpus;
mod check;
pub mod chunks;
mod classify;
mod contents;
mod convert;
mod describe;
pub mod diagnosis;
mod error;
mod hashes;
pub mod interrupt;
mod layout;
mod pending;
mod place;
pub mod plugins;
mod pool;
mod provenance;
mod report;
pub mod sharing;
mod unexplained;
pub mod unloaded;
mod verify;
mod write;

pub use convert::{Cpus, Options, convert};
pub use error::{Error, Result};
pub use layout::FEWEST_POOLED_PAGES;
pub use pool::{Pool, PoolError};
pub use report::{Phase, Report};

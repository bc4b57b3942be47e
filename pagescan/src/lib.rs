//! Which memory is shared, which could be, and what KSM would win, on kernels as they are.
//!
//! A [`snapshot`] has each frame of memory once, by a hash of what it holds, and who uses it.

pub mod advise;
mod error;
pub mod export;
pub mod hash;
pub mod hashes;
pub mod kernel;
pub mod ksm;
mod page;
pub mod scan;
pub mod share;
pub mod snapshot;
pub mod watch;

pub use error::{Error, Result};

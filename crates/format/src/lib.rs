//! The format of outputs, read and written by the same types: what the starter is told, what an output says of
//! itself, and the checksums by which it is known to be whole.

pub mod build_id;
pub mod manifest;
pub mod parallel;
pub mod parameters;
mod shape;
pub mod variables;
pub mod verity;

pub use shape::{HostLibs, Randomness, Seal, Shape};

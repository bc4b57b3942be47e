//! Where foreign files lie and foreign code runs: a directory that stands for the root of a system, out of which
//! nothing leads, and a room for processes in which that root is all there is.

mod error;
pub mod filter;
pub mod root;
pub mod sandbox;

pub use error::{Error, Result};
pub use root::Root;
pub use sandbox::mounts;

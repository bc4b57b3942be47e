//! Images from and for casync and desync: an index of theirs ([`caibx`]), and a directory of chunks ([`castr`]).
//!
//! Their chunks are named otherwise than these here, by SHA-512/256 as a rule; where an image is cut stays as it was.

mod caibx;
mod castr;
mod export;
mod import;

pub use caibx::{Caibx, Digest};
pub use export::{Report, export};
pub use import::{Options, import};

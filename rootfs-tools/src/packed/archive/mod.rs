//! Tar archives: their members, compressions and what is written in place of programs.

pub mod compression;
mod gzip;
pub(crate) mod header;
pub(crate) mod member;
pub mod members;
mod pax;
pub(crate) mod repack;
mod sparse;
pub(crate) mod unpack;

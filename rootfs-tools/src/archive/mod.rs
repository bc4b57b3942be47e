//! Tar archives: their members, compressions and what is written in place of programs.

pub mod compression;
pub mod gzip;
pub mod header;
pub mod kind;
pub mod member;
pub mod members;
pub mod pax;
pub mod repack;
pub mod room;
pub mod sparse;
pub mod tarball;
pub mod unpack;
pub mod unpacked;

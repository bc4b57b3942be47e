//! What can be wrong with a file that is converted in place of a directory.

pub mod archive;
pub mod image;

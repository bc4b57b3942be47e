//! What is in a converted file, and whether it is as it was written.

pub mod check;
pub mod memory;
pub mod module;
pub mod open;
pub mod originals;
pub mod pages;
pub mod places;
pub mod pool;
pub mod show;

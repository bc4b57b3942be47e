//! What differs between machines: one file for each, with the same functions.

pub mod x86_64;

//! The pool of a tree: a directory in it with whole libraries, each named by its SHA-256, of which converted programs map
//! unmodified pages once the tree runs ([`statify::Pool`]).
//!
//! [`place`] says where it is in the tree, and makes it; [`fill`] gives it its files, before a program has its names that looks
//! for them; [`clear`] takes away what was put there. What is done is written down before, in the tree's journal: all of it lies in the
//! tree, so that journal is enough.

pub(crate) mod clear;
pub(crate) mod fill;
pub mod place;

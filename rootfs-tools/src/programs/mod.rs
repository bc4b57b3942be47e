//! Which programs of a tree are converted: what is found in its directories, and what of it shares a
//! conversion.

pub mod find;
pub(crate) mod plan;

//! What a conversion cost, from the journal, at any time: Table 1 of the first paper and what goes
//! with it. Every number is in bytes unless its name says otherwise.
//!
//! [`read`] puts it together; it is shown as [`text`], [`csv`] and [`html`].

mod assemble;
mod contents;
pub mod csv;
pub mod figures;
pub mod html;
pub mod measured;
mod program;
pub(crate) mod rows;
mod statics;
pub mod text;

pub use assemble::{of, read};
pub use contents::{Class, Failure, Image, Library, Pool, Report};
pub use program::Program;

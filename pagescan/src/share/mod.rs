//! Which memory is shared, and which could be: snapshots classified.
//!
//! [`share`] reads all frames into columns, each once, and finds equal contents by dealing their hashes out and
//! sorting what is left together. [`Answer`] is what comes of it; [`text`], [`csv`] and [`page`] show it.

mod answer;
mod assemble;
mod census;
mod class;
mod classify;
mod csv;
mod domain;
mod figures;
mod files;
mod groups;
mod html;
mod identity;
mod kind;
mod machine;
mod matrix;
mod numbers;
mod options;
mod partition;
mod places;
mod reading;
mod source;
mod text;
mod users;

pub use answer::{
    Answer, Domain, Duplicate, Effect, MappedFile, Matrix, Merged, Pair, Savable, Taken,
};
pub use assemble::share;
pub use class::{Class, Classes, Count, Sides};
pub use csv::{Table, csv};
pub use figures::{Figures, figures};
pub use html::page;
pub use options::{By, Options};
pub use source::{Source, Stamp, open};
pub use text::text;

//! x86-64.

mod plt;
mod relocations;

pub use plt::{CodePart, code_parts, lazy_targets};
pub use relocations::{FileValue, file_value};

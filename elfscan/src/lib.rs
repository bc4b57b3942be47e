//! What is in an ELF file, what it loads, whether it can be converted, and whether a converted file
//! or a running process is what it says. Nothing that is looked at is executed.
//!
//! The verbs of the command are the modules here; [`statify_elf`] reads the files.

pub mod audit;
pub mod converted;
pub mod deps;
mod error;
pub mod extract;
pub mod host;
pub mod sbom;
pub mod scan;

pub use error::{Error, Result};

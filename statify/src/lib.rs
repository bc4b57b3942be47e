//! Turns any dynamic executable into one self-contained file.
//!
//! [`convert`] does it, and reads as its phases; DESIGN.md maps each phase to the file that holds
//! it. Everything else is public for the tools that look into converted files.

mod access_list;
pub mod arch;
pub mod c_library;
pub mod capture;
mod check;
pub mod chunks;
pub mod classify;
pub mod command_line;
mod contents;
mod convert;
mod cpus;
pub mod elf;
mod error;
#[cfg(test)]
mod fuzz;
pub mod holes;
pub mod interrupt;
pub mod layout;
pub mod manifest;
pub mod names;
pub mod parameters;
pub mod plugins;
pub mod privileges;
pub mod procfs;
mod provenance;
mod report;
pub mod root;
pub mod sandbox;
pub mod seal;
mod shape;
pub mod sharing;
mod spawn;
pub mod subject;
mod symbols;
pub mod unloaded;
mod verify;
mod write;

pub use convert::{Cpus, Options, convert};
pub use error::{Error, Result};
pub use report::{Phase, Report};
pub use root::Root;
pub use sandbox::mounts;
pub use shape::{Randomness, Seal, Shape};

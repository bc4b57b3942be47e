//! Machines that QEMU emulates: described ([`Machine`]), given initial files ([`Archive`]), talked to over a serial
//! line ([`Console`]) and asked over their monitor what they have read ([`monitor`]).

mod console;
mod error;
mod initial_files;
mod machine;
pub mod monitor;

pub use console::{Console, Said};
pub use error::{Error, Result};
pub use initial_files::Archive;
pub use machine::{Accelerator, Disk, Kind, Machine, Serial};

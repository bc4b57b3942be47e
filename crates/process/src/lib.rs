//! Processes, as the kernel shows and lets control them: what /proc tells, children that share this process's
//! memory until they execute a program, and children that are traced.

mod kill;
pub mod procfs;
mod spawn;
mod tracee;

pub use kill::kill;
pub use spawn::spawn;
pub use tracee::{Stop, Tracee};

//! Processes, as the kernel shows and lets control them: what /proc tells, children that share this process's
//! memory until they execute a program, children that are traced, and system calls in the name of what runs already.

mod kill;
pub mod ksm;
pub mod pagemap;
mod proc_dir;
pub mod procfs;
mod registers;
mod spawn;
mod tracee;
pub mod visit;

pub use kill::kill;
pub use proc_dir::{ProcessDir, Stat, Status, all_processes};
pub use spawn::spawn;
pub use tracee::{Stop, Tracee};

//! What an emulated machine runs, and what is said of it: the plan of its process 1, whose program is this package's command,
//! and running a program under limits, there and here.
//!
//! It is a package of its own so that a Rust for i386 builds it, which statify itself does not run on.

pub mod plan;
pub mod process;

//! An image served as a read-only block device.
//!
//! [`device`] answers reads from [`chunks`], which have chunks in memory, in a [`cache`] on the disk, or fetch them; [`nbd`] is how a
//! virtual machine asks. [`trace`] remembers what was asked, and [`prefetch`] fetches it beforehand the next time.

pub mod cache;
pub mod chunks;
pub mod device;
mod flight;
mod memory;
mod metrics;
pub mod nbd;
pub mod prefetch;
mod threads;
pub mod trace;

//! An image served as a read-only block device.
//!
//! [`device`] answers reads from [`chunks`], which have chunks in memory, in a [`cache`] on the disk, or fetch them; [`nbd`] is how a
//! virtual machine asks, [`fuse`] how everybody else on the same machine does. [`trace`] remembers what was asked, and [`prefetch`]
//! fetches it beforehand the next time.

pub mod cache;
pub mod chunks;
mod deadline;
pub mod device;
mod flight;
pub mod fuse;
mod memory;
mod metrics;
mod moved;
pub mod nbd;
pub mod prefetch;
pub mod scrape;
pub mod socket;
mod threads;
pub mod trace;

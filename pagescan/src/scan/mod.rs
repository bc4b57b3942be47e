//! Taking snapshots.

pub mod by_frame;
mod by_process;
mod cached_runs;
pub mod contents;
pub(crate) mod guest;
mod known;
mod lacks;
mod machine;
pub mod page_cache;
mod process;
mod progress;
pub mod ram;
mod take;
mod targets;
mod tools;

pub use by_process::ByProcess;
pub use machine::{Machine, Memory};
pub use process::{Missed, Part, Processes, Ways};
pub use progress::Progress;
pub use take::{Begin, Target, take, take_here};
pub use tools::{By, Tools};

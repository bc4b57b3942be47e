//! Verbs.

pub mod advise;
pub mod export;
pub mod hashes;
pub mod ksm;
pub mod run;
pub mod share;
pub mod snapshot;
pub mod watch;

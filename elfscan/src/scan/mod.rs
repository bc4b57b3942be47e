//! `scan`: a row for each ELF file among files and directories.

mod facts;
mod glibc;
mod hardening;
mod kind;
mod machine;
mod row;
mod totals;
mod verdict;
mod walk;

pub use facts::{Facts, assert_excerpt_suffices};
pub use glibc::GlibcVersion;
pub use hardening::{Hardening, Relro};
pub use kind::Kind;
pub use machine::Machine;
pub use row::{Privilege, Problem, Row};
pub use totals::{Sum, Totals};
pub use verdict::{Judge, LibrariesCheck, Verdict};
pub use walk::{Counts, Scan, scan};

//! What a loader would load for a file, found out from files alone: the rules of glibc's and of
//! musl's loader, those of the very loader that the file names.
//!
//! ```no_run
//! use elfscan::deps;
//!
//! let environment = deps::Environment::new(deps::Options::default());
//! let closure = deps::closure(&environment, "/usr/bin/git".as_ref())?;
//! for module in closure.loaded() {
//!     println!("{}", String::from_utf8_lossy(&module.path));
//! }
//! # Ok::<(), elfscan::Error>(())
//! ```

mod cache;
mod closure;
mod conflicts;
mod environment;
mod expand;
mod found;
mod hwcaps;
mod library;
mod loaded;
mod loader;
mod musl;
mod object;
mod refusal;
mod search;
mod versions;

pub use cache::{CACHE_FILE, Cache, Cached, Capabilities, LONGEST_CACHE, Line};
pub use closure::{closure, closure_of};
pub use conflicts::{Conflict, ConflictKind, conflicts};
pub use environment::{Environment, Interpreter, Options, Probe, Subject, parse_preload};
pub use expand::{Tokens, expand};
pub use found::Rule;
pub use hwcaps::{Choice, Cpu, choices};
pub use library::{Flaw, Kind, Library, Name, WantedVersion};
pub use loaded::{By, Closure, Module, Outcome, Request, Slot};
pub use loader::Loader;
pub use refusal::refusal;
pub use versions::{Missing, Tie, missing, ties};

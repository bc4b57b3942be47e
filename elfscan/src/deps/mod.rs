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

use statify_elf::machine::CacheFlags;

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

/// Everything here that takes bytes, for fuzzing: as a cache of either byte order, a loader, a
/// library, and the list of what to preload.
pub fn parse_anything(bytes: &[u8]) {
    for little in [true, false] {
        let cache = Cache::parse(bytes, little);
        let flags = CacheFlags { accepted: [0x303, 3], exact: 0x303 };
        let _ = cache.find(b"libc.so.6", flags, &Capabilities::default());
        let _ = cache.lines(b"libc.so.6").count();
    }
    let _ = (Loader::parse("/lib/ld.so".as_ref(), bytes), Library::parse(bytes, (0, 0)));
    let _ = (parse_preload(bytes), expand(bytes, &Tokens::default()));
}

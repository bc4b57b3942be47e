//! The tree that is worked on, and its directories, opened once: a name is looked up in its directory's
//! descriptor, so that no link on the way leads elsewhere, whatever happens meanwhile. Besides: who may work on
//! it, how it is copied, and what of it a pattern matches.

pub(crate) mod copy;
mod directory;
pub(crate) mod lock;
mod opened;
pub(crate) mod partial;
pub mod patterns;
pub(crate) mod run_id;
mod walk;

pub use directory::Directory;
pub use opened::{FileId, Name, Tree, id};
pub(crate) use opened::{JOURNAL, STATE, if_there};
pub(crate) use walk::{Entry, walk};

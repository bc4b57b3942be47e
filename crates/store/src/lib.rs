//! Keeps named blobs for others, in a directory or in an object store.
//!
//! [`Place`] says where, [`Purpose`] for what, and [`open`] gives what keeps them: a [`Storage`]. A blob
//! appears whole or not at all, so that any number of processes may use a store at the same time. Whoever
//! can write to a store can put anything there: what a blob is must follow from its name, which is a hash of
//! its contents, or a tag that only those can make who have a [`Secret`].

mod directory;
mod error;
mod object_store;
mod place;
mod purpose;
mod secret;
pub mod storage;

use std::ffi::OsString;

pub use error::{Error, Result};
pub use place::{Place, Service};
pub use purpose::Purpose;
pub use secret::{Secret, read_private};
pub use storage::{Folder, Storage};

/// Opens the store at `place`. A directory is made if it is not there. An object store is asked once, with
/// the endpoint and credentials that the variables of the environment say which `variable` looks up.
pub fn open(
    place: &Place,
    purpose: &Purpose,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Box<dyn Storage>> {
    Ok(match place {
        Place::Directory(dir) => Box::new(directory::Directory::open(dir, purpose)?),
        Place::Bucket { .. } | Place::Web(_) => {
            let store = object_store::ObjectStore::open(place, purpose, variable);
            let unusable = |why| Error::Unusable(place.to_string(), purpose.noun, why);
            Box::new(store.map_err(unusable)?)
        }
    })
}

//! What things are called in the store: `entries/KEY/NAME` and `recipes/NAME`. Keys and names of entries are
//! tags of a secret, so that others who may write to the place cannot make an entry that is believed; the name
//! of a recipe is a hash of it.

use std::path::Path;

use statify_store::{Folder, Purpose, Secret};

/// What the store is for.
pub(crate) const PURPOSE: Purpose = Purpose {
    noun: "cache",
    stake: "what is in it becomes programs",
    agent: concat!("rootfs-tools/", env!("CARGO_PKG_VERSION")),
    saves_time: true,
    folders: &[ENTRIES, RECIPES],
};
const ENTRIES: &str = "entries";
const RECIPES: &str = "recipes";

/// What secrets are used for here; another text would make other names of the same entries.
const CONTEXT: &str = "statify rootfs-tools 2026-11-27 names of cache entries";

/// Makes the names.
#[derive(Debug)]
pub struct Names(Secret);

impl Names {
    /// The names under the key in a file; without one, those for a place to which nobody else can write.
    pub fn open(key: Option<&Path>) -> statify_store::Result<Self> {
        Ok(match key {
            Some(path) => Self(Secret::read(path, CONTEXT, PURPOSE.noun)?),
            None => Self(Secret::none(CONTEXT)),
        })
    }

    /// The key that entries of one conversion lie under, as 64 hexadecimal digits.
    pub fn key(&self, of: &str) -> String {
        self.0.tag(&[b"key", of.as_bytes()])
    }

    /// The name of an entry, which belongs to its key and its contents, as 64 hexadecimal digits.
    pub fn entry(&self, key: &str, contents: &[u8]) -> String {
        self.0.tag(&[b"entry", key.as_bytes(), contents])
    }
}

/// Where the entries of a key lie.
pub(crate) fn entries(key: &str) -> Folder<'_> {
    Folder::top(ENTRIES).within(key)
}

/// Where recipes lie.
pub(crate) fn recipes() -> Folder<'static> {
    Folder::top(RECIPES)
}

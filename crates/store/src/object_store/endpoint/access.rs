//! What every service has: a bucket and the right to use it, and the variables that say so.

use std::ffi::OsString;
use std::sync::Arc;

use object_store::list::PaginatedListStore;
use object_store::{ObjectStore, RetryConfig};

/// A bucket, and the right to use it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// What asks for objects.
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// What asks for lists of them; not where there are none.
    pub(crate) lists: Option<Lists>,
    /// Scheme, host and port, to be shown.
    pub(crate) shown: String,
    /// What credentials must be and allow.
    pub(crate) rights: &'static str,
}

/// What asks for lists.
#[derive(Clone)]
pub(crate) struct Lists(pub(crate) Arc<dyn PaginatedListStore>);

impl std::fmt::Debug for Lists {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Lists")
    }
}

/// Looks up variables of the environment; those that are empty are not there.
pub(super) struct Variables<'a>(pub(super) &'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    /// One.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let text = (self.0)(name)?.into_string().ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The first one that is there, and its name.
    pub(super) fn any(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }
}

/// The crate does not try again: the client does, and knows for how long that makes sense.
pub(super) fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Why the crate takes no store of these settings. What it says itself may repeat them.
pub(super) fn unfit(what: &'static str) -> impl Fn(object_store::Error) -> String {
    move |_| what.into()
}

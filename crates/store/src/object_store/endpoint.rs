//! Where a store is and who asks it, by the variables that the services' own tools know.

mod azure;
mod google;
mod s3;
mod web;

use std::ffi::OsString;
use std::sync::Arc;

use object_store::list::PaginatedListStore;
use object_store::{ObjectStore, RetryConfig};

use super::exchange::Exchange;
use crate::place::{Place, Service};

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
struct Variables<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let text = (self.0)(name)?.into_string().ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The first one that is there, and its name.
    fn any(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }
}

impl Endpoint {
    /// Finds it; an error says which variable to set.
    pub(crate) fn find(
        place: &Place,
        exchange: Exchange,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let variables = Variables(variable);
        match place {
            Place::Bucket { service: Service::S3, bucket, .. } => {
                s3::find(bucket, exchange, &variables)
            }
            Place::Bucket { service: Service::Google, bucket, .. } => {
                google::find(bucket, exchange, &variables)
            }
            Place::Bucket { service: Service::Azure, bucket, .. } => {
                azure::find(bucket, exchange, &variables)
            }
            Place::Web(address) => web::find(address, exchange),
            Place::Directory(_) => Err("it is a directory".into()),
        }
    }
}

/// The crate does not try again: the client does, and knows for how long that makes sense.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Why the crate takes no store of these settings. What it says itself may repeat them.
fn unfit(what: &'static str) -> impl Fn(object_store::Error) -> String {
    move |_| what.into()
}

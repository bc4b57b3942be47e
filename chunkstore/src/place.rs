//! Which store a verb is for.

use std::ffi::OsString;

use chunkstore::Store;
use statify_store::Place;

/// Which store.
#[derive(Debug, clap::Args)]
pub struct StoreArguments {
    /// The store: a directory; s3://BUCKET/PREFIX (or gs://, az://) with endpoint and credentials in the environment; or an
    /// https:// address, to read from
    #[arg(long = "store", value_name = "DIR|URL", value_parser = place, required = true)]
    place: Place,
}

fn place(text: &str) -> Result<Place, String> {
    Place::parse(OsString::from(text)).map_err(|error| error.to_string())
}

impl StoreArguments {
    /// Opens it.
    pub fn open(&self) -> chunkstore::Result<Store> {
        Store::open(&self.place, |name| std::env::var_os(name))
    }
}

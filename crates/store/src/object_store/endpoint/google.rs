//! Google Cloud Storage, by a service account's key (Google Cloud, "How Application Default Credentials works").

use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;

use super::access::{Endpoint, Lists, Variables, once, unfit};
use crate::object_store::address::Address;
use crate::object_store::exchange::Exchange;

/// Where it is, unless there is an emulator.
const GOOGLE: &str = "https://storage.googleapis.com";
/// An emulator's address, as Google's libraries have it.
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

/// Finds a bucket.
pub(super) fn find(
    bucket: &str,
    exchange: Exchange,
    variables: &Variables<'_>,
) -> Result<Endpoint, String> {
    let emulator = variables.get(EMULATOR);
    let url = emulator.as_deref().unwrap_or(GOOGLE);
    let address = Address::parse(EMULATOR, url, "an emulator has none")?;
    exchange.check(&address.url)?;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_http_connector(exchange)
        .with_retry(once())
        .with_bucket_name(bucket)
        .with_base_url(address.text());
    let key = variables.get("GOOGLE_APPLICATION_CREDENTIALS");
    builder = match (&emulator, key) {
        (Some(_), _) => builder.with_skip_signature(true).with_bearer_token("none"),
        (None, Some(path)) => builder.with_service_account_path(path),
        (None, None) => {
            return Err(
                "set GOOGLE_APPLICATION_CREDENTIALS to the file with a service account's key"
                    .into(),
            );
        }
    };
    let store = builder.build().map_err(unfit(
        "GOOGLE_APPLICATION_CREDENTIALS names no file with a service account's key",
    ))?;
    let store = Arc::new(store);
    Ok(Endpoint {
        objects: store.clone(),
        lists: Some(Lists(store)),
        shown: address.shown(),
        rights: "the service account must be allowed to list, read, make and delete objects",
    })
}

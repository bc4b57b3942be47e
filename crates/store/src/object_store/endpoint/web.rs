//! A web server: files to read, by names that are known.

use std::sync::Arc;

use object_store::http::HttpBuilder;

use super::access::{Endpoint, once, unfit};
use crate::object_store::address::Address;
use crate::object_store::exchange::Exchange;

/// Finds what lies below an address.
pub(super) fn find(address: &str, exchange: Exchange) -> Result<Endpoint, String> {
    let address = Address::parse("its address", address, "no server that wants one is asked")?;
    exchange.check(&address.url)?;
    let builder = HttpBuilder::new().with_url(address.text()).with_retry(once());
    let store = builder.with_http_connector(exchange).build();
    Ok(Endpoint {
        objects: Arc::new(store.map_err(unfit("its address is none"))?),
        lists: None,
        shown: address.shown(),
        rights: "only files that everybody may read can be had",
    })
}

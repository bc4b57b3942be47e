//! Azure Blob Storage, by the variables of the Azure CLI (`az storage blob --help`).

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::access::{Endpoint, Lists, Variables, once, unfit};
use crate::object_store::address::Address;
use crate::object_store::exchange::Exchange;

const ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT";
const KEY: &str = "AZURE_STORAGE_KEY";
const TOKEN: &str = "AZURE_STORAGE_SAS_TOKEN";
const ENDPOINT: &str = "AZURE_STORAGE_SERVICE_ENDPOINT";

/// Finds a container.
pub(super) fn find(
    container: &str,
    exchange: Exchange,
    variables: &Variables<'_>,
) -> Result<Endpoint, String> {
    let account = variables.get(ACCOUNT);
    let account = account.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let account = account.ok_or(format!("set {ACCOUNT} to the storage account's name"))?;
    let url = variables.get(ENDPOINT);
    let url = url.unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
    let address = Address::parse(ENDPOINT, &url, "the key goes into AZURE_STORAGE_KEY")?;
    exchange.check(&address.url)?;
    let builder = MicrosoftAzureBuilder::new()
        .with_http_connector(exchange)
        .with_retry(once())
        .with_allow_http(address.is_local)
        .with_account(account)
        .with_container_name(container)
        .with_endpoint(address.text().to_owned());
    let builder = match (variables.get(KEY), variables.get(TOKEN)) {
        (Some(key), _) => builder.with_access_key(key),
        (None, Some(token)) => builder.with_config(AzureConfigKey::SasKey, token),
        (None, None) => return Err(format!("set {KEY} to the account's key, or {TOKEN}")),
    };
    let store = builder.build().map_err(unfit("AZURE_STORAGE_KEY or _SAS_TOKEN is none"))?;
    let store = Arc::new(store);
    Ok(Endpoint {
        objects: store.clone(),
        lists: Some(Lists(store)),
        shown: address.shown(),
        rights: "AZURE_STORAGE_KEY must be the account's, or AZURE_STORAGE_SAS_TOKEN allow to list, read, \
                 create, write and delete",
    })
}

//! S3 and what speaks as it does (AWS SDKs and Tools Reference Guide, "Environment variables").

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use super::access::{Endpoint, Lists, Variables, once, unfit};
use crate::object_store::address::Address;
use crate::object_store::exchange::Exchange;

const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// Where a bucket is: the address of the bucket itself.
struct Where {
    address: Address,
    region: String,
}

fn locate(bucket: &str, variables: &Variables<'_>) -> Result<Where, String> {
    let region = variables.any(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let region = region.map_or_else(|| "us-east-1".into(), |(_, region)| region);
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("AWS_REGION is not the name of a region".into());
    }
    let url = match variables.any(&ENDPOINTS) {
        Some((_, given)) => {
            let keys = "these go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            let address = Address::parse("AWS_ENDPOINT_URL", &given, keys)?;
            format!("{}/{bucket}", address.text())
        }
        // A certificate for all buckets has no dot before the store's own name.
        None if bucket.contains('.') => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
    };
    Ok(Where { address: Address::parse("AWS_ENDPOINT_URL", &url, "")?, region })
}

/// Finds a bucket.
pub(super) fn find(
    bucket: &str,
    exchange: Exchange,
    variables: &Variables<'_>,
) -> Result<Endpoint, String> {
    let Where { address, region } = locate(bucket, variables)?;
    let (Some(key), Some(secret)) =
        (variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY"))
    else {
        return Err("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if \
                    there is one (`aws configure export-credentials --format env` prints them)"
            .into());
    };
    exchange.check(&address.url)?;
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(exchange)
        .with_retry(once())
        .with_allow_http(address.is_local)
        .with_region(region)
        .with_bucket_name(bucket)
        .with_endpoint(address.text())
        // Its address is the bucket's, whichever of the two styles that is.
        .with_virtual_hosted_style_request(true)
        .with_access_key_id(key)
        .with_secret_access_key(secret)
        .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true");
    if let Some(token) = variables.get("AWS_SESSION_TOKEN") {
        builder = builder.with_token(token);
    }
    let store = builder.build().map_err(unfit("the variables AWS_* name no store"))?;
    let store = Arc::new(store);
    Ok(Endpoint {
        objects: store.clone(),
        lists: Some(Lists(store)),
        shown: address.shown(),
        rights: "AWS_ACCESS_KEY_ID and its secret must be right and allow s3:ListBucket, \
                 s3:GetObject and s3:PutObject",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(bucket: &str, more: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = more.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        locate(bucket, &Variables(&variable)).map(|found| found.address.text().to_owned())
    }

    #[test]
    fn addresses() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(base("abc", &[]), ok("https://abc.s3.us-east-1.amazonaws.com"));
        let region = ("AWS_DEFAULT_REGION", "eu-west-1");
        assert_eq!(base("a.bc", &[region]), ok("https://s3.eu-west-1.amazonaws.com/a.bc"));
        let other = ("AWS_REGION", "eu-west-3");
        assert_eq!(base("abc", &[region, other]), ok("https://abc.s3.eu-west-3.amazonaws.com"));
        for (endpoint, expected) in [
            ("https://minio.example.org:9000", "https://minio.example.org:9000/abc"),
            ("https://example.org/s3", "https://example.org/s3/abc"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/abc"),
            ("http://[::1]:9000", "http://[::1]:9000/abc"),
            ("http://localhost", "http://localhost/abc"),
        ] {
            assert_eq!(base("abc", &[("AWS_ENDPOINT_URL", endpoint)]), ok(expected));
        }
        assert!(base("abc", &[("AWS_REGION", "a/b")]).is_err());
    }

    #[test]
    fn there_must_be_keys() {
        let variable = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "AKIDX".into());
        let found = find("abc", Exchange::new("test"), &Variables(&variable));
        assert!(found.err().unwrap().starts_with("set AWS_ACCESS_KEY_ID"));
    }
}

//! Where a store is and who asks it, by the variables that S3's own tools know (AWS SDKs and Tools
//! Reference Guide, "Environment variables").

use std::ffi::OsString;

use rusty_s3::{Bucket, Credentials, UrlStyle};
use url::{Host, Url};

/// A bucket, and the right to use it.
pub(crate) struct Endpoint {
    /// The bucket, with the addresses of its objects.
    pub(crate) bucket: Bucket,
    /// Whom requests are from. They sign, and are never sent or shown.
    pub(crate) credentials: Credentials,
    /// The store is on this machine.
    pub(crate) is_local: bool,
    /// Scheme, host and port, to be shown.
    pub(crate) shown: String,
}

impl Endpoint {
    /// Finds it; an error says which variable to set.
    pub(crate) fn find(
        bucket: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let variable = |name: &str| {
            let text = variable(name)?.into_string().ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| "us-east-1".into());
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err("AWS_REGION is not the name of a region".into());
        }
        let given = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        let is_given = given.is_some();
        let url = given.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let (url, is_local) = parse(&url)?;
        let shown = url.origin().ascii_serialization();
        // A certificate for all buckets has no dot before the store's own name.
        let style = match is_given || bucket.contains('.') {
            true => UrlStyle::Path,
            false => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(url, style, bucket.to_owned(), region)
            .map_err(|_| "AWS_ENDPOINT_URL is not the address of a store".to_owned())?;
        let (Some(key), Some(secret)) =
            (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        else {
            return Err(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if \
                        there is one (`aws configure export-credentials --format env` prints them)"
                    .into(),
            );
        };
        let credentials = match variable("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        Ok(Self { bucket, credentials, is_local, shown })
    }
}

/// The address, and whether it is one of this machine's own. What is wrong with it is said without
/// showing it, as it might hold a password.
fn parse(text: &str) -> Result<(Url, bool), String> {
    let wrong = |what: &str| format!("AWS_ENDPOINT_URL {what}");
    let mut url =
        Url::parse(text).map_err(|_| wrong("is not a URL, such as https://s3.example.org"))?;
    let is_local = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(wrong("names no host")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "has a user or password in it; these go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has more than scheme, host, port and path in it"));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        "http" => {
            return Err(wrong(
                "is not encrypted (http), which is for this machine's own addresses only; give https://",
            ));
        }
        _ => return Err(wrong("is neither https nor http")),
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok((url, is_local))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 2] =
        [("AWS_ACCESS_KEY_ID", "AKIDX"), ("AWS_SECRET_ACCESS_KEY", "hidden")];

    fn find(bucket: &str, more: &[(&str, &str)]) -> Result<Endpoint, String> {
        let all: Vec<_> = KEYS.iter().chain(more).copied().collect();
        Endpoint::find(bucket, |name| {
            let found = all.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    fn base(bucket: &str, more: &[(&str, &str)]) -> Result<String, String> {
        find(bucket, more).map(|endpoint| endpoint.bucket.base_url().to_string())
    }

    #[test]
    fn addresses() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(base("abc", &[]), ok("https://abc.s3.us-east-1.amazonaws.com/"));
        let region = ("AWS_DEFAULT_REGION", "eu-west-1");
        assert_eq!(base("a.bc", &[region]), ok("https://s3.eu-west-1.amazonaws.com/a.bc/"));
        let other = ("AWS_REGION", "eu-west-3");
        assert_eq!(base("abc", &[region, other]), ok("https://abc.s3.eu-west-3.amazonaws.com/"));
        for (endpoint, expected) in [
            ("https://minio.example.org:9000", "https://minio.example.org:9000/abc/"),
            ("https://example.org/s3", "https://example.org/s3/abc/"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/abc/"),
            ("http://[::1]:9000", "http://[::1]:9000/abc/"),
            ("http://localhost", "http://localhost/abc/"),
        ] {
            assert_eq!(base("abc", &[("AWS_ENDPOINT_URL", endpoint)]), ok(expected));
        }
    }

    #[test]
    fn what_is_wrong_with_them() {
        for endpoint in [
            "http://example.org",
            "http://10.0.0.1",
            "ftp://example.org",
            "https://user:hidden@example.org",
            "https://example.org?hidden",
            "hidden",
        ] {
            let error = find("abc", &[("AWS_ENDPOINT_URL", endpoint)]).err().unwrap();
            assert!(error.starts_with("AWS_ENDPOINT_URL ") && !error.contains("hidden"), "{error}");
        }
        assert!(find("abc", &[("AWS_REGION", "a/b")]).is_err());
        assert!(find("abc", &[("AWS_ACCESS_KEY_ID", "")]).is_err());
    }
}

//! Addresses of stores: encrypted, or of this machine.

use url::{Host, Url};

/// Where a store listens.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// With a slash at its end.
    pub(crate) url: Url,
    /// It is one of this machine's own.
    pub(crate) is_local: bool,
}

impl Address {
    /// Reads one. What is wrong with it is said of `what`, without showing it, as it might hold a password; `instead` says where
    /// that belongs.
    pub(crate) fn parse(what: &str, text: &str, instead: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{what} {why}");
        let mut url =
            Url::parse(text).map_err(|_| wrong("is not a URL, such as https://s3.example.org"))?;
        if url.host().is_none() {
            return Err(wrong("names no host"));
        }
        let is_local = is_local(&url);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(&format!("has a user or password in it; {instead}")));
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
        Ok(Self { url, is_local })
    }

    /// Scheme, host and port, to be shown.
    pub(crate) fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Without the slash at its end.
    pub(crate) fn text(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }
}

/// Whether an address is one of this machine's own.
pub(crate) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_them() {
        for text in [
            "http://example.org",
            "http://10.0.0.1",
            "ftp://example.org",
            "https://user:hidden@example.org",
            "https://example.org?hidden",
            "hidden",
        ] {
            let error = Address::parse("AWS_ENDPOINT_URL", text, "x").err().unwrap();
            assert!(error.starts_with("AWS_ENDPOINT_URL ") && !error.contains("hidden"), "{error}");
        }
        for text in ["http://127.0.0.1:9000/", "http://[::1]:9000", "http://localhost"] {
            assert!(Address::parse("x", text, "x").unwrap().is_local, "{text}");
        }
        let address = Address::parse("x", "https://example.org:8/s3", "x").unwrap();
        assert_eq!(address.shown(), "https://example.org:8");
        assert_eq!(address.text(), "https://example.org:8/s3");
    }
}

//! Where a store lies, as users say it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// A directory, a part of a bucket, or what a web server gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Directory(PathBuf),
    /// `s3://BUCKET/PREFIX`, or the same with another scheme.
    Bucket {
        /// Whose object store.
        service: Service,
        /// The bucket's name.
        bucket: String,
        /// What the names of objects begin with, without slashes around it; it may be empty.
        prefix: String,
    },
    /// `https://HOST/PATH`, without a slash at its end: files to read.
    Web(String),
}

/// Object stores that differ in how they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, and all that speak as it does.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage, where buckets are called containers.
    Azure,
}

impl Service {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    /// How the name of a place in it begins.
    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3://",
            Self::Google => "gs://",
            Self::Azure => "az://",
        }
    }

    /// The rules for names of buckets (Amazon S3 User Guide, "General purpose bucket naming rules"; Cloud Storage, "Bucket
    /// names"; "Naming and Referencing Containers, Blobs, and Metadata").
    fn has_bucket(self, name: &str) -> bool {
        let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        let more: &[u8] = match self {
            Self::S3 => b"-.",
            Self::Google => b"-._",
            Self::Azure => b"-",
        };
        (3..=63).contains(&bytes.len())
            && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9') || more.contains(b))
            && is_end(bytes.first())
            && is_end(bytes.last())
            && !name.contains("..")
    }
}

impl Place {
    /// Reads a path, a place in an object store (`s3://`, `gs://` or `az://`, then `BUCKET/PREFIX`), or a web server's
    /// address. An error says that no bucket can have the name, or no object the prefix.
    pub fn parse(text: OsString) -> Result<Self> {
        let Some(known) = text.to_str() else { return Ok(Self::Directory(text.into())) };
        if known.starts_with("https://") || known.starts_with("http://") {
            return Ok(Self::Web(known.trim_end_matches('/').into()));
        }
        let begins = |service: &Service| known.starts_with(service.scheme());
        let Some(service) = Service::ALL.into_iter().find(begins) else {
            return Ok(Self::Directory(text.into()));
        };
        let rest = &known[service.scheme().len()..];
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        if !service.has_bucket(bucket) {
            return Err(Error::Bucket(bucket.into()));
        }
        if !prefix.is_empty() && !prefix.split('/').all(is_component) {
            return Err(Error::Prefix(prefix.into()));
        }
        Ok(Self::Bucket { service, bucket: bucket.into(), prefix: prefix.into() })
    }
}

fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain) && !text.bytes().all(|byte| byte == b'.')
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(out),
            Self::Bucket { service, bucket, prefix } => {
                let slash = if prefix.is_empty() { "" } else { "/" };
                write!(out, "{}{bucket}{slash}{prefix}", service.scheme())
            }
            // What else is in an address may be secret.
            Self::Web(address) => {
                let end = address.find(['?', '#']).unwrap_or(address.len());
                match address[..end].split_once("://") {
                    Some((scheme, rest)) => {
                        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
                        write!(out, "{scheme}://{host}")
                    }
                    None => out.write_str(&address[..end]),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let parse = |text: &str| Place::parse(text.into()).map_err(|error| error.to_string());
        let shown = |text| parse(text).map(|place| place.to_string());
        assert_eq!(parse("/var/cache"), Ok(Place::Directory("/var/cache".into())));
        assert_eq!(parse("s3:/x"), Ok(Place::Directory("s3:/x".into())));
        assert_eq!(shown("s3://abc").as_deref(), Ok("s3://abc"));
        assert_eq!(shown("s3://abc/").as_deref(), Ok("s3://abc"));
        assert_eq!(shown("s3://a.b-c/d/e_f/").as_deref(), Ok("s3://a.b-c/d/e_f"));
        assert_eq!(shown("gs://a_b.c/d").as_deref(), Ok("gs://a_b.c/d"));
        assert_eq!(shown("az://abc/d/e").as_deref(), Ok("az://abc/d/e"));
        assert_eq!(shown("https://x.org:81/a/").as_deref(), Ok("https://x.org:81/a"));
        assert_eq!(shown("https://u:p@x.org/a?b").as_deref(), Ok("https://x.org/a"));
        for wrong in [
            "s3://",
            "s3://ab",
            "s3:///x",
            "s3://ABC",
            "s3://-ab",
            "s3://a..b",
            "s3://a_b.c",
            "s3://abc//x",
            "s3://abc/../x",
            "s3://abc/x//y",
            "s3://abc/a b",
            "s3://abc/x?y",
            "s3://u:p@abc",
            "az://a.bc",
            "gs://abc/..",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

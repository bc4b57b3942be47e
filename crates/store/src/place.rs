//! Where a store lies, as users say it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// How the name of a place in an object store begins.
const SCHEME: &str = "s3://";

/// A directory, or a part of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Directory(PathBuf),
    /// `s3://BUCKET/PREFIX`.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// What the names of objects begin with, without slashes around it; it may be empty.
        prefix: String,
    },
}

impl Place {
    /// Reads a path or `s3://BUCKET/PREFIX`. An error says that no bucket can have the name, or no object the prefix.
    pub fn parse(text: OsString) -> Result<Self> {
        let Some(rest) = text.to_str().and_then(|text| text.strip_prefix(SCHEME)) else {
            return Ok(Self::Directory(text.into()));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        if !is_bucket(bucket) {
            return Err(Error::Bucket(bucket.into()));
        }
        if !prefix.is_empty() && !prefix.split('/').all(is_component) {
            return Err(Error::Prefix(prefix.into()));
        }
        Ok(Self::Bucket { bucket: bucket.into(), prefix: prefix.into() })
    }
}

/// The rules for names of buckets (Amazon S3 User Guide, "General purpose bucket naming rules").
fn is_bucket(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && is_end(bytes.first())
        && is_end(bytes.last())
        && !name.contains("..")
}

fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain) && !text.bytes().all(|byte| byte == b'.')
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(out),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(out, "{SCHEME}{bucket}"),
            Self::Bucket { bucket, prefix } => write!(out, "{SCHEME}{bucket}/{prefix}"),
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
        for wrong in [
            "s3://",
            "s3://ab",
            "s3:///x",
            "s3://ABC",
            "s3://-ab",
            "s3://a..b",
            "s3://abc//x",
            "s3://abc/../x",
            "s3://abc/x//y",
            "s3://abc/a b",
            "s3://abc/x?y",
            "s3://u:p@abc",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

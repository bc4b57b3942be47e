//! Signatures of indexes, in minisign's format: who has the public key takes an index of the store only if the owner of the
//! secret key has signed its very bytes.
//!
//! A signature is a blob of its own, which is named by the index's bytes and the key: so an index and a signature of another one
//! are never taken together, whoever replaces what when, and several keys may sign one index.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use minisign_verify::{PublicKey, Signature};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::name::{BlobName, from_hex, hex};

/// No signature is longer, in bytes.
pub(crate) const MOST: u64 = 4096;

/// What an index must have been signed with to be taken.
#[derive(Clone, Debug)]
pub struct Trust {
    key: PublicKey,
    /// The key as text, which is part of its signatures' names.
    text: String,
    /// Older signatures do not count.
    pub at_least: Option<SystemTime>,
}

impl Trust {
    /// That of a public key: a file that minisign has made, or the line in it that is the key.
    pub fn read(key: &str) -> Result<Self> {
        let none = |why: &str| Error::PublicKey(key.into(), why.into());
        let text = match PublicKey::from_base64(key) {
            Ok(_) => key.to_owned(),
            Err(_) => {
                let file = fs::read(Path::new(key)).map_err(|error| none(&error.to_string()))?;
                let file = String::from_utf8(file).map_err(|_| none("it is no text"))?;
                let line = file.lines().nth(1).ok_or_else(|| none("it has no second line"))?;
                line.trim().to_owned()
            }
        };
        let key = PublicKey::from_base64(&text).map_err(|_| none("it is none of minisign's"))?;
        Ok(Self { key, text, at_least: None })
    }

    /// What the signature of an index, known by its hash, is called in the store.
    pub(crate) fn blob(&self, index: &[u8; 32]) -> BlobName {
        blob(index, &self.text)
    }

    /// Whether `signature` is one of these bytes of an index, with this name and as new as it must be: when it was made. Why not
    /// otherwise.
    pub(crate) fn check(
        &self,
        bytes: &[u8],
        label: &str,
        signature: &[u8],
    ) -> Result<SystemTime, String> {
        let text = str::from_utf8(signature).map_err(|_| "its signature is no text")?;
        let signature =
            Signature::decode(text).map_err(|_| "its signature is none of minisign's")?;
        let wrong = "its signature is of other contents or by another key";
        self.key.verify(bytes, &signature, false).map_err(|_| wrong)?;
        // From here on the comment is what the signer wrote.
        let comment = Comment::parse(signature.trusted_comment())
            .ok_or("its signature does not say what it is of")?;
        if comment.label != label {
            return Err(format!("it was signed as {:?}", comment.label));
        }
        match self.at_least {
            Some(least) if comment.time < least => {
                Err("it was signed before the time that --at-least says".into())
            }
            _ => Ok(comment.time),
        }
    }
}

/// Who signs indexes.
pub trait Sign: std::fmt::Debug + Send + Sync {
    /// The public key, as minisign writes it.
    fn public_key(&self) -> &str;

    /// A signature of the bytes of the index `label`, made at `time`.
    fn sign(&self, bytes: &[u8], label: &str, time: SystemTime) -> Result<String>;
}

/// What the signature of an index is called in the store.
pub(crate) fn blob(index: &[u8; 32], key: &str) -> BlobName {
    let mut hasher = Sha256::new();
    hasher.update(b"signature\0");
    hasher.update(index);
    hasher.update(key.as_bytes());
    hasher.finalize().into()
}

/// What a signature says it is of: minisign's trusted comment, which is signed as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// When it was signed, in whole seconds.
    pub time: SystemTime,
    /// The image's name.
    pub label: String,
    /// SHA-256 of the index's bytes.
    pub index: [u8; 32],
}

impl Comment {
    /// As minisign writes it, and the index's hash.
    pub fn text(&self) -> String {
        let since = self.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("timestamp:{}\tfile:{}\tsha256:{}", since.as_secs(), self.label, hex(&self.index))
    }

    /// Reads one; none if it is another's.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.split('\t').find_map(|field| field.strip_prefix(name));
        let seconds = Duration::from_secs(field("timestamp:")?.parse().ok()?);
        Some(Self {
            time: SystemTime::UNIX_EPOCH.checked_add(seconds)?,
            label: field("file:")?.into(),
            index: from_hex(field("sha256:")?)?,
        })
    }

    /// That of a signature, which nobody has checked.
    pub(crate) fn unchecked(signature: &[u8]) -> Option<Self> {
        let signature = Signature::decode(str::from_utf8(signature).ok()?).ok()?;
        Self::parse(signature.trusted_comment())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments() {
        let comment = Comment {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(12),
            label: "a".into(),
            index: [3; 32],
        };
        assert_eq!(Comment::parse(&comment.text()), Some(comment));
        for text in ["", "timestamp:1\tfile:x\thashed", "timestamp:18446744073709551615\tfile:a"] {
            assert_eq!(Comment::parse(text), None, "{text}");
        }
    }
}

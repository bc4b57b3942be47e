//! Indexes signed, as minisign does.

use std::io::{self, Cursor};
use std::path::Path;
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine};
use minisign::{PublicKey, SecretKey, SecretKeyBox};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::signature::{Comment, Sign};

/// Who signs.
pub struct Signer {
    key: SecretKey,
    public: PublicKey,
    /// That as minisign writes it.
    text: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Signer").field("public", &self.text).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a secret key that minisign has made, in a file that others can neither read nor change. If it has a password,
    /// `password` says it.
    pub fn read(path: &Path, password: impl FnOnce() -> io::Result<String>) -> Result<Self> {
        let bytes = statify_store::read_private(path, "signatures")?;
        let none = |why: &str| Error::SecretKey(path.to_owned(), why.into());
        let text = String::from_utf8(bytes).map_err(|_| none("it is no text"))?;
        let line = text.lines().nth(1).unwrap_or_default().trim();
        let raw = BASE64_STANDARD.decode(line).map_err(|_| none("it is none of minisign's"))?;
        // Algorithms, each in two bytes: of the signature, of the password, of the checksum.
        let key = match raw.get(..6) {
            // minisign itself writes no checksum if there is no password, so that the crate would not take it from the text.
            Some(b"Ed\0\0B2") => SecretKey::from_bytes(&raw),
            Some(b"EdScB2") => {
                let unknown =
                    |error: io::Error| none(&format!("its password is not known: {error}"));
                let password = password().map_err(unknown)?;
                SecretKeyBox::from_string(&text).and_then(|key| key.into_secret_key(Some(password)))
            }
            _ => return Err(none("it is none of minisign's")),
        };
        let key = key.map_err(|_| none("it is damaged, or the password is another"))?;
        let public = PublicKey::from_secret_key(&key).map_err(|_| none("it has no public key"))?;
        Ok(Self { key, text: public.to_base64(), public })
    }
}

impl Sign for Signer {
    fn public_key(&self) -> &str {
        &self.text
    }

    fn sign(&self, bytes: &[u8], label: &str, time: SystemTime) -> Result<String> {
        let index = Sha256::digest(bytes).into();
        let comment = Comment { time, label: label.into(), index }.text();
        let about = Some("signature of an image's index");
        let signed = minisign::sign(
            // With it the crate sees whether the key is damaged.
            Some(&self.public),
            &self.key,
            Cursor::new(bytes),
            Some(&comment),
            about,
        );
        let signed = signed.map_err(|error| Error::Signing(label.into(), error.to_string()))?;
        Ok(signed.into_string())
    }
}

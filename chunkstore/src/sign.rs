//! Indexes signed, as minisign does.

use std::io::Cursor;
use std::path::Path;
use std::time::SystemTime;

use minisign::{PublicKey, SecretKey, SecretKeyBox};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::signature::{Comment, Sign};

/// Who signs.
pub struct Signer {
    key: SecretKey,
    /// The public key, as minisign writes it.
    public: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a secret key that minisign has made, in a file that others can neither read nor change. If it has a password,
    /// that is asked for on the terminal where `ask` allows it.
    pub fn read(path: &Path, ask: bool) -> Result<Self> {
        let bytes = statify_store::read_private(path, "signatures")?;
        let none = |why: &str| Error::SecretKey(path.to_owned(), why.into());
        let text = String::from_utf8(bytes).map_err(|_| none("it is no text"))?;
        let sealed = SecretKeyBox::from_string(&text).map_err(|_| none("it is none of minisign's"))?;
        let key = match SecretKeyBox::from_string(&text).and_then(SecretKeyBox::into_unencrypted_secret_key) {
            Ok(key) => key,
            Err(_) if !ask => {
                return Err(none(
                    "it is none of minisign's, or has a password and there is no terminal to ask for it; minisign -G -W makes one without",
                ));
            }
            Err(_) => sealed
                .into_secret_key(None)
                .map_err(|_| none("it is none of minisign's, or the password is another"))?,
        };
        let public = PublicKey::from_secret_key(&key).map_err(|_| none("it has no public key"))?;
        Ok(Self { key, public: public.to_base64() })
    }
}

impl Sign for Signer {
    fn public_key(&self) -> &str {
        &self.public
    }

    fn sign(&self, bytes: &[u8], label: &str, time: SystemTime) -> Result<String> {
        let index = Sha256::digest(bytes).into();
        let comment = Comment { time, label: label.into(), index }.text();
        let about = Some("signature of an image's index");
        let signed = minisign::sign(None, &self.key, Cursor::new(bytes), Some(&comment), about);
        let signed = signed.map_err(|error| Error::Signing(label.into(), error.to_string()))?;
        Ok(signed.into_string())
    }
}

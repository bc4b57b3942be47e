//! `chunkstore sign`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chunkstore::Signer;

use crate::place::StoreArguments;
use crate::{Failure, Verdict};

/// Sign images as the store has them now
///
/// Whoever gives the public key to `serve`, `cat` or `verify` (--key) takes only what was signed. An image is best signed while it is
/// cut (`cut --sign-key`): then nobody can have changed it before.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The images' names in the store
    #[arg(required = true)]
    indexes: Vec<String>,
    #[command(flatten)]
    store: StoreArguments,
    /// The secret key, made by minisign -G; its password is asked for
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let signer = signer(&arguments.key)?;
    let store = arguments.store.open()?;
    for label in &arguments.indexes {
        // What is no index is not signed.
        store.index(label)?;
        let bytes = store.index_bytes(label)?;
        store.sign_index(label, &bytes, &signer, SystemTime::now())?;
    }
    Ok(Verdict::Good)
}

/// Who signs with the secret key in a file.
pub fn signer(key: &Path) -> chunkstore::Result<Signer> {
    Signer::read(key, || match std::io::stdin().is_terminal() {
        true => {
            rpassword::prompt_password(format!("Password of {}: ", statify_printable::path(key)))
        }
        false => Err(std::io::Error::other(
            "there is no terminal to ask for it; minisign -G -W makes a key without",
        )),
    })
}

//! Which indexes a verb takes.

use std::time::SystemTime;

use chunkstore::index::Index;
use chunkstore::{Store, Trust};

/// Which indexes are taken.
#[derive(Debug, clap::Args)]
pub struct TrustArguments {
    /// Take only what was signed with this key: the file of a public key of minisign's, or the key itself
    #[arg(long, value_name = "PUBLIC", value_parser = key)]
    key: Option<Trust>,
    /// Take no signature that is older than this time (2026-01-31T12:00:00Z), such as one of an earlier image of this name
    #[arg(long, value_name = "TIME", requires = "key", value_parser = time)]
    at_least: Option<SystemTime>,
}

fn key(text: &str) -> Result<Trust, String> {
    Trust::read(text).map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<SystemTime, String> {
    let time = humantime::parse_rfc3339_weak(text);
    time.map_err(|_| "it is to be a time such as 2026-01-31T12:00:00Z".into())
}

impl TrustArguments {
    /// What must be signed how; nothing if nothing need be.
    pub fn trust(&self) -> Option<Trust> {
        let mut trust = self.key.clone()?;
        trust.at_least = self.at_least;
        Some(trust)
    }

    /// The index of an image, if it is taken.
    pub fn index(&self, store: &Store, label: &str) -> chunkstore::Result<Index> {
        match self.trust() {
            Some(trust) => store.trusted_index(label, &trust),
            None => store.index(label),
        }
    }
}

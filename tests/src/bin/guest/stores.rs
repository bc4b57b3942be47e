//! Both EROFS images in one chunk store: what the converted one costs who has the normal one already.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::room::{Room, output};

/// How images are cut.
const CHUNKINGS: [(&str, &str); 4] = [
    ("--chunk", "4K"),
    ("--chunk", "64K"),
    ("--content-defined", "4K:16K:64K"),
    ("--content-defined", "16K:64K:256K"),
];

/// Stores of one way to cut.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stores {
    /// As the command line has it.
    pub chunking: String,
    /// With the normal image alone.
    pub alone: Stored,
    /// With both.
    pub together: Stored,
}

/// What a store has.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stored {
    /// Distinct chunks.
    pub chunks: u64,
    /// What they hold, in bytes.
    pub distinct_bytes: u64,
    /// What they take, compressed, in bytes.
    pub stored_bytes: u64,
}

/// Makes them, one after the other.
pub fn make(room: &Room, chunkstore: &Path) -> Result<Vec<Stores>> {
    let of = |(option, size): (&str, &str)| {
        let store = room.pending("both")?;
        let cut = |image: &str| -> Result<Stored> {
            let mut command = Command::new(chunkstore);
            command.arg("cut").arg(room.images().join(image).with_extension("erofs"));
            command.args([option, size, "--quiet", "--store"]).arg(&store);
            output(&mut command)?;
            let mut command = Command::new(chunkstore);
            command.args(["stats", "--json", "--store"]).arg(&store);
            stored(&serde_json::from_slice(&output(&mut command)?)?)
        };
        let (alone, together) = (cut("normal")?, cut("converted")?);
        room.remove(&store)?;
        Ok(Stores { chunking: format!("{option} {size}"), alone, together })
    };
    CHUNKINGS.into_iter().map(of).collect()
}

fn stored(stats: &Value) -> Result<Stored> {
    let number = |name: &str| stats[name].as_u64().with_context(|| format!("no {name}"));
    Ok(Stored {
        chunks: number("chunks")?,
        distinct_bytes: number("distinct_bytes")?,
        stored_bytes: number("stored_bytes")?,
    })
}

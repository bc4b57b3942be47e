//! `chunkstore ls`

use statify_command_line::{print, say};

use super::size;
use crate::place::StoreArguments;
use crate::{Failure, Verdict};

/// List the images of a store
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    let mut verdict = Verdict::Good;
    let mut lines = Vec::new();
    for index in store.indexes()? {
        match index {
            Ok(index) => lines.push(format!(
                "{}  {}, {} chunks of {}\n",
                index.label,
                size(index.image_len),
                index.chunks.len(),
                index.chunking
            )),
            Err(error) => {
                say("chunkstore", &error.to_string());
                verdict = Verdict::Bad;
            }
        }
    }
    lines.sort();
    print(&lines.concat())?;
    Ok(verdict)
}

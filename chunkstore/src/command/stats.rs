//! `chunkstore stats`

use chunkstore::stats::{self, OfImage};
use statify_command_line::{print, print_json};

use super::size;
use crate::place::StoreArguments;
use crate::{Failure, Verdict};

/// How much the images of a store share, and what each costs
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    /// The numbers as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let stats = stats::stats(&arguments.store.open()?)?;
    if arguments.json {
        print_json(&stats)?;
        return Ok(Verdict::Good);
    }
    let mut text = String::new();
    for image in &stats.images {
        let OfImage { name, data_bytes, distinct_bytes, own_chunks, own_stored_bytes, .. } = image;
        text += &format!(
            "{name}: {} not zero, {} distinct; {own_chunks} chunks of its own, {} stored\n",
            size(*data_bytes),
            size(*distinct_bytes),
            size(*own_stored_bytes)
        );
    }
    text += &format!(
        "{} images, {} together; {} distinct in {} chunks, {} stored in {} packs\n",
        stats.images.len(),
        size(stats.data_bytes),
        size(stats.distinct_bytes),
        stats.chunks,
        size(stats.stored_bytes),
        stats.packs
    );
    print(&text)?;
    Ok(Verdict::Good)
}

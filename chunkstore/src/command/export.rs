//! `chunkstore export`

use std::path::PathBuf;

use chunkstore::exchange::{self, Digest};
use statify_command_line::{print, print_json};

use super::size;
use crate::place::StoreArguments;
use crate::{Failure, Verdict, progress};

/// Write an image as casync and desync have it: an index (.caibx) and a directory of chunks (.castr)
///
/// Chunks that the directory has already stay as they are. The index is written when all chunks are there.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's name in the store
    index: String,
    #[command(flatten)]
    store: StoreArguments,
    /// The index to write
    #[arg(long, value_name = "FILE.caibx")]
    to: PathBuf,
    /// The directory of chunks, which is made if it is not there
    #[arg(long, value_name = "DIR.castr")]
    chunks: PathBuf,
    /// By what chunks are named there: sha512-256 or sha256
    #[arg(long, value_name = "NAME", default_value_t)]
    digest: Digest,
    /// No progress bar and no report
    #[arg(long, short)]
    quiet: bool,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let Arguments { index, store, to, chunks, digest, quiet, json } = arguments;
    let store = store.open()?;
    let index = store.index(index)?;
    let bar = progress::chunks(0, *quiet);
    let report = exchange::export(&store, &index, to, chunks, *digest, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report?;
    if *json {
        print_json(&report)?;
    } else if !quiet {
        let exchange::Report { image_bytes, chunks, new_chunks } = report;
        let (label, bytes) = (&index.label, size(image_bytes));
        print(&format!("{label}: {bytes}, {chunks} chunks; {new_chunks} files are new\n"))?;
    }
    Ok(Verdict::Good)
}

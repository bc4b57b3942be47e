//! `chunkstore cut`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunkstore::{ChunkSize, cut};
use statify_command_line::{print, print_json};

use super::sign::signer;
use super::size;
use crate::place::StoreArguments;
use crate::{Failure, Verdict, progress};

/// Cut an image into chunks, and put those into the store that it does not have
///
/// Zeros and holes cost nothing. Several may cut at the same time. A cut that was killed is resumed by running it again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image: a file, or a block device that nobody writes to
    image: PathBuf,
    #[command(flatten)]
    store: StoreArguments,
    /// The size of chunks, from 4K to 4M
    #[arg(long, value_name = "SIZE", default_value_t)]
    chunk: ChunkSize,
    /// What the image is called in the store [default: the name of its file]
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
    /// Replace another image of this name
    #[arg(long)]
    replace: bool,
    /// Sign the index with this secret key, made by minisign -G
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    /// How hard zstd tries, from 1 to 19
    #[arg(long, value_name = "LEVEL", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// No progress bar and no report
    #[arg(long, short)]
    quiet: bool,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let signer = arguments.sign_key.as_deref().map(signer).transpose()?;
    let options = cut::Options {
        chunk_size: arguments.chunk,
        label: arguments.index.clone().unwrap_or_else(|| file_name(&arguments.image)),
        replace: arguments.replace,
        level: arguments.level,
        signer: signer.map(|signer| Arc::new(signer) as _),
    };
    let store = arguments.store.open()?;
    let total = std::fs::metadata(&arguments.image).map_or(0, |image| image.len());
    let bar = progress::bytes(total, arguments.quiet);
    let report = cut::cut(&store, &arguments.image, &options, |done| bar.set_position(done));
    bar.finish_and_clear();
    let report = report?;
    if arguments.json {
        print_json(&report)?;
    } else if !arguments.quiet {
        print(&format!(
            "{}: {}, {} of it not zero; {} chunks, {} of them new ({}, {} compressed)\n",
            options.label,
            size(report.image_bytes),
            size(report.data_bytes),
            report.chunks,
            report.new_chunks,
            size(report.new_bytes),
            size(report.stored_bytes),
        ))?;
    }
    Ok(Verdict::Good)
}

fn file_name(image: &Path) -> String {
    image.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

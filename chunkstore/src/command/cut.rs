//! `chunkstore cut`

use std::path::PathBuf;
use std::sync::Arc;

use chunkstore::{Bounds, ChunkSize, Chunking, cut};
use statify_command_line::{print, print_json};

use super::sign::signer;
use super::size;
use crate::place::StoreArguments;
use crate::{Failure, Verdict, progress};

/// Cut an image into chunks, and put those into the store that it does not have
///
/// Zeros and holes cost nothing. Several may cut at the same time. A cut that was killed is resumed by running it again.
///
/// Of a directory an EROFS image is made first, by mkfs.erofs, and cut: owners, modes, times and extended attributes are kept,
/// what is mounted in it is left out, and the same tree makes the same image.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image: a file, a block device that nobody writes to, or a directory
    image: PathBuf,
    #[command(flatten)]
    store: StoreArguments,
    /// The size of chunks, from 4K to 4M
    #[arg(long, value_name = "SIZE", default_value_t)]
    chunk: ChunkSize,
    /// Cut where the contents say so, into chunks of these sizes (such as 16K:64K:256K)
    ///
    /// What is inserted or removed somewhere then changes the chunks around it only.
    #[arg(long, value_name = "MIN:AVG:MAX", conflicts_with = "chunk")]
    content_defined: Option<Bounds>,
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
    let label = arguments.index.clone().unwrap_or_else(|| cut::name(&arguments.image));
    let bounds = arguments.content_defined.map(Chunking::ContentDefined);
    let signer = arguments.sign_key.as_deref().map(signer).transpose()?;
    let options = cut::Options {
        chunking: bounds.unwrap_or(Chunking::Fixed(arguments.chunk)),
        label,
        replace: arguments.replace,
        level: arguments.level,
        signer: signer.map(|signer| Arc::new(signer) as _),
    };
    let store = arguments.store.open()?;
    let bar = progress::bytes(0, arguments.quiet);
    let report = cut::cut(&store, &arguments.image, &options, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report?;
    if arguments.json {
        print_json(&report)?;
    } else if !arguments.quiet {
        print(&told(&options.label, &report))?;
    }
    Ok(Verdict::Good)
}

/// What a report says to people.
pub fn told(label: &str, report: &cut::Report) -> String {
    format!(
        "{label}: {}, {} of it not zero; {} chunks, {} of them new ({}, {} compressed)\n",
        size(report.image_bytes),
        size(report.data_bytes),
        report.chunks,
        report.new_chunks,
        size(report.new_bytes),
        size(report.stored_bytes),
    )
}

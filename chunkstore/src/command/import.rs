//! `chunkstore import`

use std::path::{Path, PathBuf};

use chunkstore::exchange;
use statify_command_line::{print, print_json};

use super::cut::told;
use crate::place::StoreArguments;
use crate::{Failure, Verdict, progress};

/// Put an image into the store that casync or desync has cut: an index (.caibx) and a directory of chunks (.castr)
///
/// Each chunk is held against its id. It may be a zstd frame or uncompressed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The index
    #[arg(value_name = "FILE.caibx")]
    from: PathBuf,
    #[command(flatten)]
    store: StoreArguments,
    /// The directory of chunks
    #[arg(long, value_name = "DIR.castr")]
    chunks: PathBuf,
    /// What the image is called in the store [default: the name of its file, without .caibx]
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
    /// Replace another image of this name
    #[arg(long)]
    replace: bool,
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
    let label = arguments.index.clone().unwrap_or_else(|| name(&arguments.from));
    let options = exchange::Options {
        label: label.clone(),
        replace: arguments.replace,
        level: arguments.level,
    };
    let store = arguments.store.open()?;
    let bar = progress::bytes(0, arguments.quiet);
    let (from, chunks) = (&arguments.from, &arguments.chunks);
    let report = exchange::import(&store, from, chunks, &options, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report?;
    if arguments.json {
        print_json(&report)?;
    } else if !arguments.quiet {
        print(&told(&label, &report))?;
    }
    Ok(Verdict::Good)
}

fn name(caibx: &Path) -> String {
    let name = caibx.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".caibx").unwrap_or(&name).to_owned()
}

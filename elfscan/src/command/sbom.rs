//! `elfscan sbom`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use elfscan::converted::open::{self, MappedFile};
use elfscan::sbom;
use statify_room::Root;

use crate::{Failure, Verdict};

/// The embedded files as a CycloneDX bill of materials
///
/// In JSON, of version 1.6. The same file and package database give the same bytes. A file that is no
/// longer what was embedded gets no version: the database is of today.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The converted file
    #[arg(value_name = "OUT")]
    file: PathBuf,
    /// The root file system that the embedded files, and the database of their packages, are in
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Say when the document was made: seconds since 1970, or now
    #[arg(long, value_name = "WHEN", value_parser = seconds)]
    timestamp: Option<u64>,
    /// Answer in JSON, as without it
    #[arg(long, hide = true)]
    json: bool,
}

fn seconds(text: &str) -> Result<u64, String> {
    if text == "now" {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        return now.map(|now| now.as_secs()).map_err(|error| error.to_string());
    }
    text.parse().map_err(|_| "seconds since 1970, or now, are wanted".into())
}

/// Prints the document.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let root = match &arguments.root {
        Some(root) => Root::open(root)?,
        None => Root::machine(),
    };
    let file = MappedFile::open(&arguments.file)?;
    let converted = open::read(&file)?;
    let options = sbom::Options { timestamp: arguments.timestamp };
    statify_command_line::print_json(&sbom::document(&converted, &root, options))?;
    Ok(Verdict::Good)
}

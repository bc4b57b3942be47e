//! `chunkstore gc`

use std::time::Duration;

use chunkstore::gc;
use statify_command_line::{print, print_json};

use crate::place::StoreArguments;
use crate::{Failure, Verdict};

/// Remove what no image needs any more
///
/// Images may be cut and served meanwhile: what is younger than a time of grace stays.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    /// The time of grace in hours; less than 24 only if nobody cuts
    #[arg(long, value_name = "HOURS", default_value_t = gc::GRACE.as_secs() / 3600)]
    keep: u64,
    /// What was done as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    let grace = Duration::from_secs(arguments.keep.saturating_mul(3600));
    let report = gc::gc(&store, grace)?;
    if arguments.json {
        print_json(&report)?;
    } else {
        let gc::Report { removed, young, kept } = report;
        print(&format!(
            "{removed} packs removed, {kept} needed, {young} not needed but too young\n"
        ))?;
    }
    Ok(Verdict::Good)
}

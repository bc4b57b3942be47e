//! `chunkstore gc`

use std::path::PathBuf;
use std::time::Duration;

use chunkstore::{Sign, gc, repack};
use statify_command_line::{print, print_json};

use super::sign::signer;
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
    /// Put what is needed of packs of which less than so much of a hundred is needed into new ones; the old ones go when
    /// their time of grace is over
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    repack: Option<u8>,
    /// The secret key with which images were signed whose packs are repacked; otherwise those stay
    #[arg(long, value_name = "FILE", requires = "repack")]
    sign_key: Option<PathBuf>,
    /// What was done as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    let grace = Duration::from_secs(arguments.keep.saturating_mul(3600));
    let signer = arguments.sign_key.as_deref().map(signer).transpose()?;
    let signer = signer.as_ref().map(|signer| signer as &dyn Sign);
    let options = arguments.repack.map(|percent| repack::Options { percent, signer });
    let report = gc::gc(&store, grace, options.as_ref())?;
    if arguments.json {
        print_json(&report)?;
    } else {
        let gc::Report { removed, young, kept, repacked } = report;
        let repack::Report { packs, new_packs, images, signed } = repacked;
        if arguments.repack.is_some() {
            print(&format!("{packs} packs made into {new_packs}, for {images} images\n"))?;
        }
        if signed > 0 {
            let why = "stay as they are, since images in them are signed; give --sign-key";
            print(&format!("{signed} packs {why}\n"))?;
        }
        print(&format!(
            "{removed} packs removed, {kept} needed, {young} not needed but too young\n"
        ))?;
    }
    Ok(Verdict::Good)
}

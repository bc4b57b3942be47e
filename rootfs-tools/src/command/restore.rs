//! `rootfs-tools restore`.

use std::path::PathBuf;

use rootfs_tools::packed::kind;
use rootfs_tools::run::restore::{self, Options};

use crate::{Failure, Verdict};

/// Put back every original
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The root file system, or the copy of one that `convert --out` made
    #[arg(value_name = "ROOT")]
    root: PathBuf,
    /// Where the originals are now, if the directory of `convert --backup` was moved; of a copy that was
    /// moved, the tree that `convert --out` has copied
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// ROOT may be / itself
    #[arg(long)]
    i_know: bool,
}

/// Restores.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    if kind::of(&arguments.root)?.is_some() {
        return Err(rootfs_tools::Error::ArchiveRestored(arguments.root.clone()).into());
    }
    let options = Options {
        root: arguments.root.clone(),
        backup: arguments.backup.clone(),
        i_know: arguments.i_know,
    };
    let outcome = restore::restore(&options)?;
    for failure in &outcome.failures {
        statify_command_line::say("rootfs-tools", failure);
    }
    statify_command_line::print(&format!("{} programs restored\n", outcome.restored))?;
    if outcome.failures.is_empty() {
        return Ok(Verdict::Good);
    }
    Err(rootfs_tools::Error::NotRestored(options.root, outcome.failures.len()).into())
}

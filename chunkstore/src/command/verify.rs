//! `chunkstore verify`

use chunkstore::verify;
use statify_command_line::{print, say};

use super::size;
use crate::place::StoreArguments;
use crate::trust::TrustArguments;
use crate::{Failure, Verdict, progress};

/// Hold every byte of a store against its names
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    trust: TrustArguments,
    /// Remove packs that are damaged: cutting their images again puts what they had there anew
    #[arg(long)]
    remove: bool,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    let bar = progress::packs(0, arguments.quiet);
    let findings = verify::verify(&store, arguments.trust.trust().as_ref(), |total| {
        bar.set_length(total);
        bar.inc(1);
    });
    bar.finish_and_clear();
    let findings = findings?;
    for problem in &findings.problems {
        say("chunkstore", problem);
    }
    if arguments.remove {
        for pack in &findings.damaged {
            store.remove_pack(pack)?;
        }
    }
    print(&format!(
        "{} packs, {}; {} images can be had back\n",
        findings.packs,
        size(findings.bytes),
        findings.sound.len()
    ))?;
    Ok(if findings.problems.is_empty() { Verdict::Good } else { Verdict::Bad })
}

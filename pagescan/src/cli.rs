//! The command line: the one definition that help, man page and completions come from. What each
//! verb takes stands in its file in `command/`.

use clap::{CommandFactory, Parser, Subcommand};
use statify_command_line::GenerateArguments;

use crate::command::{advise, export, hashes, ksm, run, share, snapshot, watch};

const EXAMPLES: &str = "\
Examples:
  pagescan snapshot 4711 4712 -o two.pages
      What two processes have in memory: a hash of each page, and who uses it.
  pagescan snapshot --all -o machine.pages
      The same of all processes.
  pagescan advise --all
      What KSM would save, how soon and for how much CPU, and what does not merge and why.
  pagescan run --ksm firefox
      A program whose memory KSM may merge; `pagescan ksm on PID` for one that runs already.

Exit status: 0 done; 1 not so, or not all of it, with sentences on stderr; 2 wrong usage.";

/// Tells which memory is shared, which could be, and what KSM would win, without changing what it measures.
#[derive(Debug, Parser)]
#[command(name = "pagescan", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Snapshot(snapshot::Arguments),
    Share(share::Arguments),
    Advise(advise::Arguments),
    Watch(watch::Arguments),
    Run(run::Arguments),
    Ksm(ksm::Arguments),
    Export(export::Arguments),
    Hashes(hashes::Arguments),
    #[command(hide = true)]
    Generate(GenerateArguments),
}

/// The definition itself.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::command().debug_assert();
    }
}

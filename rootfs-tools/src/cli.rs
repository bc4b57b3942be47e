//! The command line: the one definition that help, man page and completions come from. What each
//! verb takes stands in its file in `command/`.

use clap::{CommandFactory, Parser, Subcommand};
use statify_command_line::GenerateArguments;

use crate::command::{boot, check, convert, report, restore};

const EXAMPLES: &str = "\
Examples:
  rootfs-tools convert /srv/guest --out /srv/guest-standalone
      A copy of the tree in which every program is self-contained.
  rootfs-tools convert /srv/guest --in-place --backup /srv/guest-originals
      The same in place; after Ctrl-C or a crash the same command goes on.
  rootfs-tools convert guest.tar.zst --out guest-standalone.tar.zst
      A tar archive; an image in an OCI layout just so, with one layer more.
  rootfs-tools restore /srv/guest
      Every original again, with all that belonged to it.
  rootfs-tools report /srv/guest --json
      What it cost: growth of programs and image, libraries, failures.
  rootfs-tools check /srv/guest
      Whether every converted program is as it was written and does what its original does.
  rootfs-tools boot /srv/guest /srv/guest-standalone --report boots
      How long both take to the login in QEMU, and what they read.

Exit status: 0 done; 1 not all of it, with sentences on stderr; 2 wrong usage.";

/// Converts the programs of a whole root file system into self-contained files, and back.
#[derive(Debug, Parser)]
#[command(name = "rootfs-tools", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Convert(Box<convert::Arguments>),
    Restore(restore::Arguments),
    Report(report::Arguments),
    Check(check::Arguments),
    Boot(Box<boot::Arguments>),
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

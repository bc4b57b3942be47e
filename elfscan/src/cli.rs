//! The command line: the one definition that help, man page and completions come from. What each
//! verb takes stands in its file in `command/`.

use clap::{CommandFactory, Parser, Subcommand};
use statify_command_line::GenerateArguments;

use crate::command::{audit, check, deps, extract, host, sbom, scan, show};

const EXAMPLES: &str = "\
Examples:
  elfscan /usr/bin --only convertible
      A row for each executable that statify can convert.
  elfscan deps /usr/bin/git
      What ld.so would load for it, and by which rule it is found.
  elfscan host --deny ./server
      Exit status 1 if anything may still come from the host at run time.
  elfscan check ./git-standalone && elfscan sbom ./git-standalone
      A converted file: is it intact, and what is in it.
  elfscan audit 4711
      A running process against its files: code, constants, and every GOT entry.

Exit status: 0 yes; 1 no, or it could not be found out, with a sentence on stderr; 2 wrong usage.";

/// Tells what is in ELF files, what they load, whether they can be converted, and whether they were
/// tampered with. Nothing that it looks at is executed.
#[derive(Debug, Parser)]
#[command(name = "elfscan", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    scan: scan::Arguments,
}

/// What to do; `scan` if nothing is said.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Scan(scan::Arguments),
    Deps(deps::Arguments),
    Host(host::Arguments),
    Show(show::Arguments),
    Sbom(sbom::Arguments),
    Check(check::Arguments),
    Audit(audit::Arguments),
    Extract(extract::Arguments),
    #[command(hide = true)]
    Generate(GenerateArguments),
}

impl Cli {
    /// The verb, said or not.
    pub fn verb(self) -> Verb {
        self.verb.unwrap_or(Verb::Scan(self.scan))
    }
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

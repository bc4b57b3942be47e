//! `elfscan generate`: the man page and the shells' completions.

use command_line::Generated;

use crate::{Failure, Verdict, cli};

/// Print the man page or a shell's completions
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to print
    what: Generated,
}

/// Prints it.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    command_line::print_bytes(&arguments.what.text(cli::command())?)?;
    Ok(Verdict::Good)
}

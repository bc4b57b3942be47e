//! The command: one file for each verb in `command/`.

mod cli;
mod command;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Verb};

/// What the answer was.
pub enum Verdict {
    /// Exit status 0.
    Good,
    /// Exit status 1: not all that was asked for could be done.
    Bad,
}

/// What ends the command: a sentence for the user; exit status 1, or 2 if it is about the command line.
pub type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return statify_command_line::usage(&error),
    };
    match run(&cli.verb) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) => match error.downcast_ref() {
            Some(usage) => statify_command_line::usage(usage),
            None => statify_command_line::failed("rootfs-tools", &error.to_string()),
        },
    }
}

fn run(verb: &Verb) -> Result<Verdict, Error> {
    match verb {
        Verb::Convert(arguments) => command::convert::run(arguments, &mut cli::command()),
        Verb::Restore(arguments) => command::restore::run(arguments),
        Verb::Report(arguments) => command::report::run(arguments),
        Verb::Check(arguments) => command::check::run(arguments),
        Verb::Boot(arguments) => command::boot::run(arguments),
        Verb::Generate(arguments) => {
            arguments.run(cli::command())?;
            Ok(Verdict::Good)
        }
    }
}

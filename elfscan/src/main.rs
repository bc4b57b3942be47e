//! The command: one file for each verb in `command/`.

mod cli;
mod command;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Verb};

/// What the answer was.
pub enum Verdict {
    /// Exit status 0.
    Good,
    /// Exit status 1: what was asked for is not so.
    Bad,
}

/// A sentence for the user; exit status 1.
pub type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return statify_command_line::usage(&error),
    };
    match run(cli.verb()) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) => statify_command_line::failed("elfscan", &error.to_string()),
    }
}

fn run(verb: Verb) -> Result<Verdict, Failure> {
    match verb {
        Verb::Scan(arguments) => command::scan::run(&arguments),
        Verb::Deps(arguments) => command::deps::run(&arguments),
        Verb::Host(arguments) => command::host::run(&arguments),
        Verb::Show(arguments) => command::show::run(&arguments),
        Verb::Sbom(arguments) => command::sbom::run(&arguments),
        Verb::Check(arguments) => command::check::run(&arguments),
        Verb::Audit(arguments) => command::audit::run(&arguments),
        Verb::Extract(arguments) => command::extract::run(&arguments),
        Verb::Generate(arguments) => {
            arguments.run(cli::command())?;
            Ok(Verdict::Good)
        }
    }
}

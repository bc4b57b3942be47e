//! The command: one file for each verb in `command/`.

mod cli;
mod command;
mod place;
mod progress;
mod trust;

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
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return statify_command_line::usage(&error),
    };
    match run(&cli.verb) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) => statify_command_line::failed("chunkstore", &error.to_string()),
    }
}

fn run(verb: &Verb) -> Result<Verdict, Failure> {
    match verb {
        Verb::Cut(arguments) => command::cut::run(arguments),
        Verb::Cat(arguments) => command::cat::run(arguments),
        Verb::Serve(arguments) => command::serve::run(arguments),
        Verb::Ls(arguments) => command::ls::run(arguments),
        Verb::Stats(arguments) => command::stats::run(arguments),
        Verb::Diff(arguments) => command::diff::run(arguments),
        Verb::Trace(arguments) => command::trace::run(arguments),
        Verb::Verify(arguments) => command::verify::run(arguments),
        Verb::Sign(arguments) => command::sign::run(arguments),
        Verb::Rm(arguments) => command::rm::run(arguments),
        Verb::Gc(arguments) => command::gc::run(arguments),
        Verb::Export(arguments) => command::export::run(arguments),
        Verb::Import(arguments) => command::import::run(arguments),
        Verb::Generate(arguments) => {
            arguments.run(cli::command())?;
            Ok(Verdict::Good)
        }
    }
}

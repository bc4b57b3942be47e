//! The command: one file for each verb in `command/`.

mod cli;
mod command;
mod place;
mod progress;
mod trust;

use std::process::ExitCode;

use statify_command_line::{Failure, Verdict};

use cli::{Cli, Verb};

fn main() -> ExitCode {
    statify_command_line::run("chunkstore", |cli: Cli| run(&cli.verb))
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

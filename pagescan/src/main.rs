//! The command: one file for each verb in `command/`.

mod cli;
mod command;
mod key;
mod period;
mod target;

use std::process::ExitCode;

use statify_command_line::{Failure, Verdict};

use cli::{Cli, Verb};

fn main() -> ExitCode {
    statify_command_line::run("pagescan", |cli: Cli| run(&cli.verb))
}

fn run(verb: &Verb) -> Result<Verdict, Failure> {
    match verb {
        Verb::Advise(arguments) => command::advise::run(arguments),
        Verb::Ksm(arguments) => command::ksm::run(arguments),
        Verb::Run(arguments) => command::run::run(arguments),
        Verb::Snapshot(arguments) => command::snapshot::run(arguments),
        Verb::Share(arguments) => command::share::run(arguments),
        Verb::Export(arguments) => command::export::run(arguments),
        Verb::Watch(arguments) => command::watch::run(arguments),
        Verb::Hashes(arguments) => command::hashes::run(arguments),
        Verb::Generate(arguments) => {
            arguments.run(cli::command())?;
            Ok(Verdict::Good)
        }
    }
}

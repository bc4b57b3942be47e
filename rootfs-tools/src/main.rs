//! The command: one file for each verb in `command/`.

mod cli;
mod command;
mod progress;

use std::process::ExitCode;

use statify_command_line::{Failure, Verdict};

use cli::{Cli, Verb};

fn main() -> ExitCode {
    statify_command_line::run("rootfs-tools", |cli: Cli| run(&cli.verb))
}

fn run(verb: &Verb) -> Result<Verdict, Failure> {
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

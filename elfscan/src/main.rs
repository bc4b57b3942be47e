//! The command: one file for each verb in `command/`.

mod cli;
mod command;

use std::process::ExitCode;

use statify_command_line::{Failure, Verdict};

use cli::{Cli, Verb};

fn main() -> ExitCode {
    statify_command_line::run("elfscan", |cli: Cli| run(cli.verb()))
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

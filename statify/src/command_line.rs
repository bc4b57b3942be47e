//! What the commands of this workspace do alike: how they end when their arguments are wrong, where
//! answers go, and the texts that are made of their definitions.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap_complete::Shell;

use crate::names::printable;

/// A text that is made of a command's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Generated {
    /// The man page.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

impl Generated {
    /// The text.
    pub fn text(self, mut command: clap::Command) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let name = command.get_name().to_owned();
        let mut complete =
            |shell: Shell| clap_complete::generate(shell, &mut command, &name, &mut bytes);
        match self {
            Self::Bash => complete(Shell::Bash),
            Self::Zsh => complete(Shell::Zsh),
            Self::Fish => complete(Shell::Fish),
            Self::Man => clap_mangen::Man::new(command).render(&mut bytes)?,
        }
        Ok(bytes)
    }
}

/// Says what is wrong with the arguments, or what was asked for: help and version are no errors.
/// Returns the exit status.
pub fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no error either.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Says on stderr what `command` could not do. Returns the exit status.
pub fn failed(command: &str, message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{command}: {}", printable(message));
    ExitCode::from(1)
}

/// Prints an answer on stdout, which need not be text; a reader that has gone away is no error.
pub fn print(bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
    match std::io::stdout().write_all(bytes.as_ref()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints an answer as JSON.
pub fn print_json(answer: &impl serde::Serialize) -> std::io::Result<()> {
    print(serde_json::to_string_pretty(answer)? + "\n")
}

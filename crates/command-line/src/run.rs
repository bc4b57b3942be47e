//! A command, from its arguments to its exit status.

use std::process::ExitCode;

use clap::Parser;

use crate::{failed, usage};

/// What the answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit status 0.
    Good,
    /// Exit status 1: what was asked for is not so, or not all of it could be done.
    Bad,
}

/// What ends a command: a sentence for the user; exit status 1, or 2 if it is about the command line.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reads the arguments of `command`, does what they say, and says what could not be done.
pub fn run<C: Parser>(command: &str, run: impl FnOnce(C) -> Result<Verdict, Failure>) -> ExitCode {
    let arguments = match C::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match run(arguments) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) => match error.downcast_ref() {
            Some(error) => usage(error),
            None => failed(command, &error.to_string()),
        },
    }
}

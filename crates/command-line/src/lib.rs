//! What the commands of this workspace do alike: how they end when their arguments are wrong, where
//! answers go, and the texts that are made of their definitions.

mod generate;
mod run;
mod shape;
pub mod signals;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use statify_printable::{printable, printable_json, printable_lines};

pub use generate::{GenerateArguments, Generated, write_all};
pub use run::{Failure, Verdict, run};
pub use shape::ShapeArguments;

/// Says what is wrong with the arguments, or what was asked for: help and version are no errors.
/// Returns the exit status.
pub fn usage(error: &clap::Error) -> ExitCode {
    let is_shown = |argument: std::ffi::OsString| {
        argument.to_str().is_some_and(|text| text == printable(text))
    };
    // A closed pipe is no error either.
    let _ = match std::env::args_os().skip(1).all(is_shown) {
        true => error.print(),
        // Names that a shell has put in may hold anything: without colours then.
        false => {
            let text = error.render().to_string();
            let text = printable_lines(&text);
            match error.use_stderr() {
                true => std::io::stderr().write_all(text.as_bytes()),
                false => std::io::stdout().write_all(text.as_bytes()),
            }
        }
    };
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Says on stderr what `command` could not do. Returns the exit status.
pub fn failed(command: &str, message: &str) -> ExitCode {
    signals::leave_the_last_word();
    say(command, message);
    ExitCode::from(1)
}

/// Says something on stderr, in one line; nobody need be there to read it.
pub fn say(command: &str, message: &str) {
    // At once, so that no other process's words come in between.
    let line = format!("{command}: {}\n", printable(message));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Prints an answer in lines on stdout. Names in it are printable by themselves, so that none is more
/// than one line; that none gives orders to a terminal is seen to here, whatever the answer.
pub fn print(text: &str) -> std::io::Result<()> {
    print_bytes(printable_lines(text).as_bytes())
}

/// Prints a text that is made of no names, or is none.
pub fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    match std::io::stdout().write_all(bytes) {
        // A reader that has gone away is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints an answer as JSON.
pub fn print_json(answer: &impl serde::Serialize) -> std::io::Result<()> {
    print_bytes(json(answer)?.as_bytes())
}

/// An answer as JSON: exact, and no terminal obeys it.
pub fn json(answer: &impl serde::Serialize) -> std::io::Result<String> {
    Ok(printable_json(&serde_json::to_string_pretty(answer)?).into_owned() + "\n")
}

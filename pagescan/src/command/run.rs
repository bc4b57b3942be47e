//! `pagescan run`

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use pagescan::ksm;
use statify_command_line::{Failure, Verdict, say};

/// What env(1) and others end with: they themselves could not do it, the program cannot be executed, it is not there.
const OWN: i32 = 125;
const NO_PROGRAM: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Run a program whose memory KSM may merge
///
/// The program takes this one's place: its exit status and the signals to it are its own. Its children inherit the switch. Exit
/// status if it does not get to run: 127 if it is not there, 126 if it cannot be executed, 125 if the kernel refuses --ksm.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Let KSM merge all of its memory that it can (Linux 6.4)
    #[arg(long)]
    ksm: bool,

    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let [program, rest @ ..] = &arguments.command[..] else { return Ok(Verdict::Bad) };
    if arguments.ksm {
        if let Err(why) = ksm::mergeable_from_here() {
            say("pagescan", &why);
            std::process::exit(OWN);
        }
        if !ksm::is_running() {
            say("pagescan", super::ksm::NOT_RUNNING);
        }
    }
    let error = Command::new(program).args(rest).exec();
    let name = statify_printable::path(Path::new(program));
    say("pagescan", &format!("{name}: it cannot be executed: {error}"));
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    std::process::exit(if is_missing { NOT_FOUND } else { NO_PROGRAM })
}

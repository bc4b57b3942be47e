//! `pagescan ksm`

use std::collections::BTreeMap;

use pagescan::ksm::{self, State, Switched};
use statify_command_line::{Failure, Verdict, print, print_json, say};

/// What is said where it makes no difference yet.
pub const NOT_RUNNING: &str = "KSM is not running on this machine, so nothing is merged until 1 is written to /sys/kernel/mm/ksm/run (`pagescan advise` tells what that would bring)";

/// Let KSM merge the memory of processes that run, or not any more; say what it has done
///
/// `on` and `off` stop a thread of each process for about a millisecond, and change nothing of it but this switch; `off` gives it pages
/// of its own again, which takes as long as copying them. Children that it starts afterwards inherit it. A process that runs
/// under a seccomp filter, is traced already or runs code of 32 bits is left alone.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do
    what: What,

    /// The processes
    #[arg(required = true, value_name = "PID")]
    pids: Vec<u32>,

    /// With `status`: the numbers as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Let KSM merge all of their memory that it can
    On,
    /// Let it merge nothing of them any more
    Off,
    /// Say what it may and what it has done
    Status,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Good;
    let mut states = BTreeMap::new();
    let mut text = String::new();
    for &pid in &arguments.pids {
        let done = match arguments.what {
            What::Status => State::of(pid).map(|state| {
                text += &line(pid, &state);
                states.insert(pid, state);
            }),
            What::On | What::Off => {
                let on = arguments.what == What::On;
                ksm::switch(pid, on).map(|switched| {
                    let word = if on { "on" } else { "off" };
                    let was = if switched == Switched::Before { " already" } else { "" };
                    text += &format!("{pid}: KSM is {word}{was}\n");
                })
            }
        };
        if let Err(error) = done {
            say("pagescan", &error.to_string());
            verdict = Verdict::Bad;
        }
    }
    match arguments.json && arguments.what == What::Status {
        true => print_json(&states)?,
        false => print(&text)?,
    }
    if arguments.what == What::On && verdict == Verdict::Good && !ksm::is_running() {
        say("pagescan", NOT_RUNNING);
    }
    Ok(verdict)
}

fn line(pid: u32, state: &State) -> String {
    let may = match (state.merge_any, state.mergeable) {
        (Some(true), _) => "KSM is on",
        (_, Some(true)) => "KSM is on for parts of it, by its own wish (madvise)",
        (Some(false), Some(false)) => "KSM is off",
        (Some(false), None) => "KSM is off, but for what it may have wished itself (madvise)",
        (None, _) => "whether KSM is on, this kernel does not tell",
    };
    format!(
        "{pid}: {may}; {} pages merged, {} in the page of zeros, {} looked at, {} bytes won\n",
        state.merging_pages, state.zero_pages, state.known_pages, state.profit
    )
}

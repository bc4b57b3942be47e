//! `pagescan hashes`

use std::path::PathBuf;

use pagescan::hash::Algorithm;
use pagescan::hashes::{
    Frozen, Image, MadeUp, PAGE, Pages, Part, Plan, ProcessMemory, compare, text,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use statify_command_line::{Failure, Verdict, print, print_json, signals};

/// Compare hashes of pages: how fast each is, and how often it takes different pages for the same
///
/// Pages of processes are those that are in memory; nothing is brought in, and nothing is stopped unless --freeze says so. Different
/// pages are told by SHA-256. Speed is that of one core on pages that come from memory, in computing time, the hashes in turns.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub struct Arguments {
    /// Processes whose pages are hashed
    #[arg(value_name = "PID", group = "whose")]
    pids: Vec<u32>,
    /// A process that emulates or runs a guest: the guest's memory is hashed
    #[arg(long, value_name = "PID", group = "whose")]
    guest: Option<u32>,
    /// An image of memory, as QEMU writes it (pmemsave, dump-guest-memory)
    #[arg(long, value_name = "FILE", group = "whose")]
    file: Option<PathBuf>,
    /// As many bytes of random pages that are made up, the same at every run
    #[arg(long, value_name = "BYTES", group = "whose")]
    size: Option<u64>,
    /// Stop the processes (SIGSTOP) while they are read and hashed, and let them go on afterwards
    #[arg(long, conflicts_with_all = ["file", "size"])]
    freeze: bool,
    /// Only these hashes
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    hash: Vec<Algorithm>,
    /// How often each hashes all pages
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let is_over = signals::flag(&[SIGHUP, SIGINT, SIGTERM])?;
    let mut plan = Plan { rounds: arguments.rounds.into(), ..Plan::default() };
    if !arguments.hash.is_empty() {
        plan.algorithms.clone_from(&arguments.hash);
    }
    let part = if arguments.guest.is_some() { Part::Guest } else { Part::All };
    let pids: Vec<u32> = arguments.pids.iter().copied().chain(arguments.guest).collect();
    // Those that are stopped go on at every way out of here.
    let mut frozen = Vec::new();
    if arguments.freeze {
        for &pid in &pids {
            frozen.push(Frozen::new(pid, &is_over)?);
        }
    }
    let (of, mut pages): (_, Box<dyn Pages>) = if let Some(path) = &arguments.file {
        (path.display().to_string(), Box::new(Image::open(path)?))
    } else if let Some(size) = arguments.size {
        ("no process, made up".into(), Box::new(MadeUp::new(size.div_ceil(PAGE as u64))))
    } else {
        let numbers: Vec<_> = pids.iter().map(u32::to_string).collect();
        let what = match (part, pids.len()) {
            (Part::Guest, _) => "the guest of process",
            (_, 1) => "process",
            _ => "processes",
        };
        let processes = pids.iter().map(|&pid| ProcessMemory::open(pid, part));
        let processes = processes.collect::<pagescan::Result<Vec<_>>>()?;
        (format!("{what} {}", numbers.join(", ")), Box::new(processes))
    };
    let comparison = compare(&of, &mut *pages, &plan, &is_over)?;
    drop(frozen);
    if arguments.json {
        print_json(&comparison)?
    } else {
        print(&text(&comparison))?
    }
    Ok(Verdict::Good)
}

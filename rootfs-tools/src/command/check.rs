//! `rootfs-tools check`.

use std::path::PathBuf;
use std::time::Duration;

use rootfs_tools::check::{self, Event, Options, text};
use rootfs_tools::programs::find;
use rootfs_tools::tree::patterns;

use crate::progress::Progress;
use crate::{Failure, Verdict};

/// Say whether every converted program is as it was written, and does what its original does
///
/// Each is checked as by `elfscan check`, and run with --version and --help beside its original, if
/// that is kept: at the same path, as nobody and without network, in namespaces in which ROOT is all
/// there is, and read-only.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The converted root file system
    #[arg(value_name = "ROOT")]
    root: PathBuf,
    /// Where the originals are, if not where the journal says: a tree, or a directory of `convert
    /// --backup`
    #[arg(long, value_name = "DIR", conflicts_with = "no_run")]
    original: Option<PathBuf>,
    /// Run nothing
    #[arg(long)]
    no_run: bool,
    /// Where the programs are, in a ROOT without a journal
    #[arg(long, value_name = "DIR", value_delimiter = ',', default_values = find::DIRECTORIES)]
    dirs: Vec<PathBuf>,
    /// Check programs whose path in ROOT matches, and no others; a pattern without a slash is for names
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Leave programs out whose path in ROOT matches
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// How many programs at a time; as many as there are CPUs if nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// How long a program may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// How much address space a process may have
    #[arg(long, value_name = "MIB", default_value_t = 8192, value_parser = clap::value_parser!(u64).range(64..=1 << 24))]
    memory: u64,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but what is found
    #[arg(short, long)]
    quiet: bool,
}

impl Arguments {
    fn options(&self) -> Result<Options, Failure> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Options {
            root: self.root.clone(),
            original: self.original.clone(),
            dirs: self.dirs.clone(),
            only: patterns::set("--only", &self.only)?,
            exclude: patterns::set("--exclude", &self.exclude)?,
            jobs: self.jobs.map_or(cpus, usize::from),
            runs: !self.no_run,
            timeout: Duration::from_secs(self.timeout),
            memory: self.memory << 20,
        })
    }
}

/// Checks.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let mut progress = Progress::new(arguments.quiet);
    let report = check::check(&arguments.options()?, &mut |event| match event {
        Event::Found(count) => progress.begin(count),
        Event::Checked(_) => progress.step(),
    })?;
    drop(progress);
    if arguments.json {
        statify_command_line::print_json(&report)?;
    } else {
        statify_command_line::print(&text::text(&report))?;
    }
    Ok(if report.is_well() { Verdict::Good } else { Verdict::Bad })
}

//! `c-libraries`: every fixture, built, run, converted with `--root` and compared in systems with other C libraries, and
//! the systems' own programs.
//!
//! Each system is a tree made by mmdebstrap, in which nothing is changed afterwards: it is read-only, in namespaces of
//! their own, with the fixtures' scratch directory mounted in its /tmp. That for AArch64 is the whole of an emulated machine
//! (`.ci/arm64` makes it), in which this command runs as well.

mod check;
mod emulated;
mod machines;
mod programs;
mod room;
mod start;
mod table;
mod trees;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use nix::sys::signal::Signal;
use regex::Regex;
use statify_tests::convert::Statify;
use statify_tests::scratch::Scratch;
use statify_tests::toolchain::Toolchain;

use crate::check::Checked;
use crate::trees::{Architecture, System};

/// What unshare(1) makes for a check.
const NAMESPACES: [&str; 9] = [
    "--mount",
    "--propagation=private",
    "--pid",
    "--net",
    "--ipc",
    "--uts",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// Convert every fixture in systems with other C libraries, and compare it with its original.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// Where the systems are kept for the next time [default: a directory that goes away]
    #[arg(long, value_name = "DIR")]
    trees: Option<PathBuf>,
    /// Only these systems, by their names (bookworm, xenial-i386, bookworm-arm64) [default: all that can be had]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    systems: Vec<String>,
    #[command(flatten)]
    how: How,
    /// Print the table of machines that is in the README: Debian bookworm's for each, with --programs and --start
    #[arg(long, conflicts_with = "systems")]
    machines: bool,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How the fixtures are checked.
#[derive(clap::Args, Clone)]
struct How {
    /// Only fixtures whose name matches
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,
    /// Convert the systems' own programs, too, and run them with --version
    #[arg(long)]
    programs: bool,
    /// Measure how long programs take to start, too
    #[arg(long)]
    start: bool,
    /// Fixtures or programs checked at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
}

impl How {
    /// As they are given on a command line.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--jobs".to_owned(), self.jobs.to_string()];
        if self.programs {
            arguments.push("--programs".into());
        }
        if self.start {
            arguments.push("--start".into());
        }
        if let Some(only) = &self.only {
            arguments.extend(["--only".into(), only.to_string()]);
        }
        arguments
    }
}

#[derive(Subcommand)]
enum Part {
    /// In namespaces of its own: check the fixtures in one system, and print the results as JSON
    #[command(hide = true)]
    Check {
        tree: PathBuf,
        scratch: PathBuf,
        statify: PathBuf,
        /// The system is one of 32 bits
        #[arg(long)]
        narrow: bool,
        #[command(flatten)]
        how: How,
    },
}

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    if cli.machines {
        cli.systems = trees::MACHINES.map(str::to_owned).into();
        (cli.how.programs, cli.how.start) = (true, true);
    }
    let result = match &cli.part {
        Some(Part::Check { tree, scratch, statify, narrow, how }) => {
            let toolchain = if *narrow { Toolchain::Narrow } else { Toolchain::Machine };
            check_inside(tree, scratch, statify, toolchain, how).map(|()| true)
        }
        None => check_all(&cli),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("c-libraries: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything agreed.
fn check_all(cli: &Cli) -> Result<bool> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root, to make systems and to enter them");
    let systems = trees::select(&cli.systems)?;
    let scratch = Scratch::new()?;
    let statify = Statify::locate()?.copied_to(scratch.path())?;
    let trees = cli.trees.clone().unwrap_or_else(|| scratch.path().join("trees"));
    let (mut results, mut holds) = (Vec::new(), true);
    for system in systems {
        let name = system.title();
        let checked = match system.architecture {
            Architecture::Arm64 => emulated::check(&cli.how, &scratch.dir(system.name)?)?,
            Architecture::Own | Architecture::I386 => match trees::make(system, &trees)? {
                Ok(tree) => Ok(check_in_namespaces(cli, &tree, system, &statify, &scratch)?),
                Err(reason) => Err(reason),
            },
        };
        match checked {
            Ok(checked) => {
                table::print_reasons(&name, &checked);
                holds &= checked.holds(system.some_are_unfit());
                results.push((name, checked));
            }
            Err(reason) => eprintln!("{name}: not checked here: {reason}"),
        }
    }
    ensure!(!results.is_empty(), "no system can be had here");
    print!(
        "{}",
        if cli.machines { machines::markdown(&results) } else { table::markdown(&results) }
    );
    if let Some(file) = &cli.json {
        let text = serde_json::to_string_pretty(&results)? + "\n";
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(holds)
}

/// Runs this command once more in namespaces of its own, with which everything ends that it starts.
fn check_in_namespaces(
    cli: &Cli,
    tree: &Path,
    system: &System,
    statify: &Statify,
    scratch: &Scratch,
) -> Result<Checked> {
    let name = system.name;
    let scratch = scratch.dir(name)?;
    let mut command = Command::new("unshare");
    command.args(NAMESPACES).arg("--").arg(std::env::current_exe()?);
    command.arg("check").arg(tree).arg(&scratch).arg(statify.path()).args(cli.how.arguments());
    if system.toolchain() == Toolchain::Narrow {
        command.arg("--narrow");
    }
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) };
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("starting unshare (util-linux)")?;
    ensure!(output.status.success(), "{name}: {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name}: the results"))
}

fn check_inside(
    tree: &Path,
    scratch: &Path,
    statify: &Path,
    toolchain: Toolchain,
    how: &How,
) -> Result<()> {
    room::enter(tree, scratch)?;
    let (statify, jobs) = (Statify::at(statify.to_owned()), usize::from(how.jobs));
    let mut checked = check::check(scratch, &statify, toolchain, how.only.as_ref(), jobs)?;
    if how.start {
        checked.start = Some(start::measure(scratch, &statify, toolchain)?);
    }
    if how.programs {
        checked.programs = Some(programs::check(scratch, &statify, jobs)?);
    }
    println!("{}", serde_json::to_string(&checked)?);
    Ok(())
}

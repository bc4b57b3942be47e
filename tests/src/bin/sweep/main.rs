//! `sweep`: every dynamic program of the machine, converted and compared with its original.
//!
//! Each program of `/usr/bin` and `/usr/sbin` is converted with `statify` and run with `--version`,
//! `--help` and without arguments, original and converted in equal sandboxes.

mod convert;
mod exceptions;
mod programs;
mod report;
mod run;
mod sandbox;
mod scan;
mod sweep;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use regex::Regex;
use statify_tests::process::stop_with_the_runner;
use statify_tests::tool;
use tempfile::TempDir;

use crate::report::Report;
use crate::scan::Verdicts;
use crate::sweep::Sweep;

/// Convert every dynamic program of this machine and compare it with its original.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// The statify command [default: what cargo builds, or the one beside this program]
    #[arg(long, value_name = "PATH")]
    statify: Option<PathBuf>,
    /// The elfscan command, whose verdicts must be statify's [default: likewise]
    #[arg(long, value_name = "PATH")]
    elfscan: Option<PathBuf>,
    /// Write a report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Sweep only programs whose path matches
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,
    /// Programs examined at a time [default: number of CPUs]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Seconds after which a run is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    timeout: f64,
}

#[derive(Subcommand)]
enum Part {
    /// Build a sandbox and run one program in it, as told through the socket that is stdin.
    #[command(hide = true)]
    Launch,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.part {
        Some(Part::Launch) => sandbox::launch().map(|()| true),
        None => sweep(&cli),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sweep: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything agreed.
fn sweep(cli: &Cli) -> Result<bool> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "needs root, to build sandboxes; the programs themselves run as nobody"
    );
    ensure!(cli.timeout > 0.0 && cli.timeout <= 600.0, "--timeout must be above 0 and at most 600");
    let statify = find("statify", cli.statify.as_deref())?;
    let elfscan = find("elfscan", cli.elfscan.as_deref())?;
    let directory = scratch()?;
    prove_sandbox(directory.path())?;

    let mut programs = programs::find()?;
    if let Some(only) = &cli.only {
        programs.retain(|program| only.is_match(&program.path.to_string_lossy()));
        ensure!(!programs.is_empty(), "no program matches {only}");
    }
    let verdicts = Verdicts::ask(&elfscan)?;
    let sweep = Sweep {
        statify,
        time_limit: cli.timeout,
        jobs: cli.jobs.unwrap_or_else(cpus).clamp(1, 256),
        directory: directory.path().to_owned(),
    };
    let progress = ProgressBar::new(programs.len() as u64)
        .with_style(ProgressStyle::with_template("{pos}/{len} {elapsed} {wide_msg}")?);
    let examined = sweep.examine_all(&programs, &progress);
    progress.finish_and_clear();
    let examined = examined?;

    let report = Report::new(&examined, &verdicts, cli.only.is_none());
    print!("{}", report.text());
    if let Some(file) = &cli.json {
        let text = serde_json::to_string_pretty(&report.json())? + "\n";
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    println!("sweep: {} passed, {} failed", report.passed(), report.failed());
    Ok(report.failed() == 0)
}

/// A directory that goes away with the sweep, also on Ctrl-C.
fn scratch() -> Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("statify-sweep-").tempdir()?;
    let path = directory.path().to_owned();
    stop_with_the_runner(move || {
        let _ = std::fs::remove_dir_all(path);
    })?;
    Ok(directory)
}

/// The path given; or under cargo what it builds; or the neighbour of this program.
fn find(name: &str, given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None if std::env::var_os("CARGO").is_some() => return tool::locate(name),
        None => std::env::current_exe()?.with_file_name(name),
    };
    path.canonicalize().with_context(|| {
        format!("no {}: build it with `cargo build --release --bin {name}`", path.display())
    })
}

fn prove_sandbox(directory: &Path) -> Result<()> {
    let shell = directory.join("shell");
    std::fs::copy("/bin/sh", &shell).context("copy the shell")?;
    sandbox::prove(&shell)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

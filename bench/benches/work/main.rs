//! `cargo bench -p statify-bench --bench work`: originals and converted programs at work, not only at their start:
//! the time and the memory that each takes for the same job, and servers for the same requests.

mod find;
mod jobs;
mod results;
mod servers;
mod table;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::wait::WaitStatus;
use regex::Regex;
use statify_bench::spawn::{Launch, wait_usage};
use statify_bench::style::Style;
use statify_bench::{convert, machine};

use jobs::Job;
use results::{Comparison, Results, Row, Run};

/// Time and memory of originals and converted programs that work.
///
/// Both do the same job in turn. A ratio is the median of those of the pairs.
#[derive(Parser)]
#[command(name = "work", bin_name = "cargo bench -p statify-bench --bench work --")]
struct Arguments {
    /// Pairs of runs for each job and each server
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Only rows whose name matches
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,

    /// Print Markdown, as it stands in docs/src/measured/work.md
    #[arg(long)]
    markdown: bool,

    /// Also write everything measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let statify = convert::statify_binary()?;
    let dir = tempfile::tempdir()?;
    let wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| only.is_match(name));
    let mut results = Results {
        machine: machine::describe()?,
        pairs: arguments.runs,
        jobs: Vec::new(),
        servers: Vec::new(),
    };
    for job in jobs::jobs(dir.path())?.iter().filter(|job| wanted(job.name)) {
        results.jobs.push(measure(&statify, job, arguments.runs, dir.path())?);
    }
    for service in servers::services().iter().filter(|service| wanted(service.name)) {
        results.servers.push(service.measure(&statify, arguments.runs)?);
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let style = if arguments.markdown { Style::Markdown } else { Style::Terminal };
    table::print(&results, style);
    Ok(())
}

/// Runs original and converted program in turn, after one of each that does not count.
fn measure(statify: &Path, job: &Job, runs: u32, dir: &Path) -> Result<Row> {
    let name = job.name.to_owned();
    let Ok(original) = &job.program else {
        return Ok(Row {
            name,
            missing: job.program.clone().err().into_iter().collect(),
            measured: None,
        });
    };
    let converted = dir.join("converted");
    convert::convert(statify, original, &converted, &[])?;
    let words: Vec<&OsStr> = job.arguments.iter().map(|word| word.as_os_str()).collect();
    let launches = [Launch::new(original, &words)?, Launch::new(&converted, &words)?];
    let mut pairs = Vec::new();
    for _ in 0..=runs {
        pairs.push([run(&launches[0], job)?, run(&launches[1], job)?]);
    }
    Ok(Row { name, missing: Vec::new(), measured: Some(Comparison::of(&pairs[1..])) })
}

fn run(launch: &Launch, job: &Job) -> Result<Run> {
    let since = Instant::now();
    let (status, usage) = wait_usage(launch.start()?)?;
    let elapsed = since.elapsed().as_secs_f64();
    match status {
        WaitStatus::Exited(_, 0) => {
            Ok(Run { elapsed, cpu: usage.cpu.as_secs_f64(), peak: usage.peak_rss as f64 })
        }
        other => bail!("{}: {other:?}", job.name),
    }
}

//! `cargo bench -p statify-bench --bench work`: originals and converted programs at work, not only at their start:
//! the time and the memory that each takes for the same job.

mod jobs;

use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use nix::sys::wait::WaitStatus;
use statify_bench::spawn::{Launch, wait_usage};
use statify_bench::style::Style;
use statify_bench::{convert, machine};

use jobs::Job;

/// Time and memory of originals and converted programs that work.
///
/// Both do the same job in turn. A ratio is the median of those of the pairs.
#[derive(Parser)]
#[command(name = "work", bin_name = "cargo bench -p statify-bench --bench work --")]
struct Arguments {
    /// Pairs of runs for each job
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Print Markdown, as it stands in docs/src/measured/work.md
    #[arg(long)]
    markdown: bool,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One run.
struct Run {
    /// From its start to its end, in seconds.
    elapsed: f64,
    /// User and system time, in seconds.
    cpu: f64,
    /// The largest resident set, in bytes.
    peak: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let statify = convert::statify_binary()?;
    let dir = tempfile::tempdir()?;
    let machine = machine::describe()?;
    println!(
        "{}: {}, {} cores, Linux {}, {}; {} pairs of runs each.\n",
        machine.date, machine.cpu, machine.cores, machine.kernel, machine.glibc, arguments.runs
    );
    let style = if arguments.markdown { Style::Markdown } else { Style::Terminal };
    let header = [
        "job",
        "original, s",
        "converted, s",
        "time: converted / original",
        "CPU time",
        "peak memory",
    ];
    let mut table = style.table(header.map(String::from).to_vec());
    for job in jobs::jobs(dir.path())? {
        let Some(program) = &job.program else {
            table.add_row([job.name, "not installed"]);
            continue;
        };
        let converted = dir.path().join("converted");
        convert::convert(&statify, program, &converted, &[])?;
        let pairs = pairs(program, &converted, &job, arguments.runs)?;
        let of = |value: fn(&Run) -> f64| {
            let ratios = pairs.iter().map(|[original, own]| value(own) / value(original));
            format!("{:.3}", median(ratios.collect()))
        };
        let seconds = |index: usize| median(pairs.iter().map(|pair| pair[index].elapsed).collect());
        table.add_row([
            job.name.to_owned(),
            format!("{:.3}", seconds(0)),
            format!("{:.3}", seconds(1)),
            of(|run| run.elapsed),
            of(|run| run.cpu),
            of(|run| run.peak),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// Runs original and converted program in turn, after one of each that does not count.
fn pairs(original: &Path, converted: &Path, job: &Job, runs: u32) -> Result<Vec<[Run; 2]>> {
    let words: Vec<&OsStr> = job.arguments.iter().map(|word| word.as_os_str()).collect();
    let launches = [Launch::new(original, &words)?, Launch::new(converted, &words)?];
    let mut pairs = Vec::new();
    for _ in 0..=runs {
        pairs.push([run(&launches[0], job)?, run(&launches[1], job)?]);
    }
    Ok(pairs.split_off(1))
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

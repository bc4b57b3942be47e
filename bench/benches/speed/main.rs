//! `cargo bench -p statify-bench --bench speed`: exec-to-exit times of originals, converted programs and what they are compared with, the
//! cost of the conversions, and whether the project's goals are reached.

mod cases;
mod generate;
mod goals;
mod results;
mod rows;
mod table;

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use regex::Regex;

use cases::Bench;
use results::Results;
use statify_bench::style::Style;
use statify_bench::{convert, machine, spawn};

/// Exec-to-exit times of originals and converted programs.
///
/// All candidates of a row are measured in turn, round after round, so that noise hits them alike. Parent and children share
/// one CPU: this leaves out wake-ups of an idle CPU and inter-processor interrupts, the largest sources of noise.
#[derive(Parser)]
#[command(name = "speed", bin_name = "cargo bench -p statify-bench --bench speed --")]
struct Arguments {
    /// Rounds for each row; a row of slow programs stops earlier, at 20 seconds
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Conversions for each program, whose median cost is reported
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    conversions: u32,

    /// Only rows whose name matches
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,

    /// CPU to run on [default: the last one allowed]
    #[arg(long, value_name = "CPU", conflicts_with = "unpinned")]
    cpu: Option<usize>,

    /// Let the kernel choose the CPUs
    #[arg(long)]
    unpinned: bool,

    /// Measure the originals alone, without statify
    #[arg(long)]
    originals: bool,

    /// Print Markdown, as it stands in docs/src/measured/speed.md
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
    let results = run(&arguments)?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let style = if arguments.markdown { Style::Markdown } else { Style::Terminal };
    table::print(&results, style);
    Ok(())
}

fn run(arguments: &Arguments) -> Result<Results> {
    let statify = if arguments.originals { None } else { Some(convert::statify_binary()?) };
    let bench = Bench::new(statify, arguments.only.as_ref())?;
    let progress = |text: &str| {
        if stderr().is_terminal() {
            eprint!("\r\x1b[K{text}");
        }
    };

    let machine = machine::describe()?;
    let mut rows = Vec::new();
    for case in bench.cases() {
        progress(&format!("preparing {}", case.name()));
        let prepared = bench.prepare(case, arguments.conversions)?;
        progress(&format!("measuring {}", case.name()));
        let pinned = (!arguments.unpinned).then(|| spawn::pin(arguments.cpu)).transpose()?;
        rows.push(prepared.measure(arguments.runs)?);
        drop(pinned);
    }
    progress("");
    let goals = goals::judge(&rows);
    Ok(Results { machine, pinned: !arguments.unpinned, rows, goals })
}

//! `cargo bench -p statify-bench --bench peers`: statify beside other tools that make one file of a program: what can be seen of
//! it when it runs, and how long its start takes.

mod probe;
mod tools;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use serde::Serialize;
use statify_bench::machine::{self, Machine};
use statify_bench::measure::{Times, interleaved};
use statify_bench::spawn::Launch;
use statify_bench::style::Style;

use probe::{Answers, Probe};
use tools::Tool;

/// A program that has not ended after this time never will.
const LIMIT: Duration = Duration::from_secs(30);
/// Real programs, with arguments that make them end at once.
const PROGRAMS: [(&str, &str); 6] = [
    ("git", "--version"),
    ("curl", "--version"),
    ("python3", "--version"),
    ("openssl", "version"),
    ("ssh", "-V"),
    ("gdb", "--version"),
];

/// statify beside staticx and dlfreeze, where they are installed, and glibc's static programs.
#[derive(Parser)]
#[command(name = "peers", bin_name = "cargo bench -p statify-bench --bench peers --")]
struct Arguments {
    /// Rounds for each program; a row of slow ones stops earlier, at 20 seconds
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// staticx, if it is not in PATH
    #[arg(long, value_name = "PROGRAM")]
    staticx: Option<PathBuf>,

    /// dlfreeze, if it is not in PATH
    #[arg(long, value_name = "PROGRAM")]
    dlfreeze: Option<PathBuf>,

    /// Print Markdown, as it stands in docs/src/measured/compared.md
    #[arg(long)]
    markdown: bool,

    /// Also write everything measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Everything that is measured.
#[derive(Serialize)]
struct Results {
    machine: Machine,
    /// What each tool makes of the probe, by the tool's name; else what is missing or went wrong.
    probe: Vec<(String, Result<Answers, String>)>,
    /// Times of each tool's output by the program's command line.
    starts: Vec<(String, BTreeMap<String, Start>)>,
}

/// How a program starts.
#[derive(Serialize)]
struct Start {
    /// Nothing if it does not run.
    times: Option<Times>,
    /// Why not.
    failure: Option<String>,
    /// Of its file, in bytes.
    size: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let tools = tools::tools(arguments.staticx.as_deref(), arguments.dlfreeze.as_deref())?;
    let dir = tempfile::tempdir()?;
    let probe = Probe::new(dir.path())?;
    let answers = |tool: &Tool| -> Result<Answers, String> {
        let file = tool.make_of_source(&probe.source, &probe.program, dir.path())?;
        probe.ask(&file).map_err(|error| format!("{error:#}"))
    };
    let mut results =
        Results { machine: machine::describe()?, probe: Vec::new(), starts: Vec::new() };
    for tool in &tools {
        results.probe.push((tool.name.to_owned(), answers(tool)));
    }
    for (program, argument) in PROGRAMS {
        let Some(program) = tools::installed(program) else {
            results.starts.push((format!("{program} (not installed)"), BTreeMap::new()));
            continue;
        };
        let name = format!("{} {argument}", program.file_name().unwrap_or_default().display());
        results
            .starts
            .push((name, starts(&tools, &program, argument, arguments.runs, dir.path())?));
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(&results, &tools, if arguments.markdown { Style::Markdown } else { Style::Terminal });
    Ok(())
}

/// Starts all outputs of one program in turn.
fn starts(
    tools: &[Tool],
    program: &Path,
    argument: &str,
    runs: u32,
    dir: &Path,
) -> Result<BTreeMap<String, Start>> {
    let (mut starts, mut names, mut launches) = (BTreeMap::new(), Vec::new(), Vec::new());
    for tool in tools.iter().filter(|tool| !tool.needs_source()) {
        let made = tool.make(program, dir).and_then(|file| {
            let launch = Launch::new(&file, &[OsStr::new(argument)]);
            let launch = launch.and_then(|launch| launch.check(LIMIT).map(|()| launch));
            let size = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
            launch.map(|launch| (launch, size)).map_err(|error| format!("{error:#}"))
        });
        let start = match made {
            Ok((launch, size)) => {
                names.push(tool.name);
                launches.push(launch);
                Start { times: None, failure: None, size }
            }
            Err(failure) => Start { times: None, failure: Some(failure), size: 0 },
        };
        starts.insert(tool.name.to_owned(), start);
    }
    for (name, times) in names.into_iter().zip(interleaved(&launches, runs)?) {
        if let Some(start) = starts.get_mut(name) {
            start.times = Some(times);
        }
    }
    Ok(starts)
}

fn print(results: &Results, tools: &[Tool], style: Style) {
    let machine = &results.machine;
    println!(
        "{}: {}, {} cores, Linux {}, {}; {}\n",
        machine.date,
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.glibc,
        tools::versions(tools)
    );
    let mut table =
        style.table(std::iter::once("").chain(Answers::HEADINGS).map(String::from).collect());
    for (name, answers) in &results.probe {
        let mut cells = vec![name.clone()];
        match answers {
            Ok(answers) => cells.extend(answers.cells()),
            Err(reason) => cells.push(reason.clone()),
        }
        table.add_row(cells);
    }
    println!("{table}\n");
    let tools: Vec<&Tool> = tools.iter().filter(|tool| !tool.needs_source()).collect();
    let heading = std::iter::once("").chain(tools.iter().map(|tool| tool.name));
    let mut table = style.table(heading.map(String::from).collect());
    for (name, starts) in &results.starts {
        let cell = |tool: &&Tool| match starts.get(tool.name) {
            Some(Start { times: Some(times), .. }) => format!("{:.2}", times.median / 1e3),
            Some(Start { failure: Some(failure), .. }) => outline(failure),
            _ => String::new(),
        };
        table.add_row(std::iter::once(name.clone()).chain(tools.iter().map(cell)));
    }
    println!("{table}");
}

/// A failure in a cell: the signal, or that it is not to be had.
fn outline(failure: &str) -> String {
    let signal = failure
        .split(|letter: char| !letter.is_alphanumeric())
        .find(|word| word.starts_with("SIG"));
    signal.map_or_else(
        || if failure == "not installed" { failure } else { "fails" }.to_owned(),
        String::from,
    )
}

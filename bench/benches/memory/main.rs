//! `cargo bench -p statify-bench --bench memory`: the experiments of both papers on memory that is shared or could be, each in a
//! file of its own, with the papers' numbers beside what is measured.

mod balloon;
mod boot;
mod builds;
mod bzip2;
mod cache;
mod chart;
mod disk;
mod forget;
mod guest;
mod idle;
mod inodes;
mod look;
mod merging;
mod programs;
mod report;
mod work;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use serde_json::json;
use statify_bench::machine;
use statify_bench::style::Style;

use look::Eye;
use report::Outcome;

/// The experiments of both papers on memory. KSM is switched on for some, and put back.
///
/// It takes root. Guests are emulated by QEMU, which needs no KVM.
#[derive(Parser)]
#[command(name = "memory", bin_name = "cargo bench -p statify-bench --bench memory --")]
struct Arguments {
    /// What is to be done; if nothing is said, all
    #[arg(value_name = "NAME")]
    names: Vec<Name>,

    /// Print Markdown, as it stands in docs/src/measured/memory.md
    #[arg(long)]
    markdown: bool,

    /// Write all that was measured to a file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write charts into a directory, as SVG
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,

    /// Have a file in memory until standard input ends
    #[arg(long, value_name = "FILE", hide = true)]
    hold: Option<PathBuf>,

    /// Have a copy of it
    #[arg(long, value_name = "FILE", hide = true)]
    hold_copy: Option<PathBuf>,

    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What looks, has a directory of its own, and says what it has found.
type Experiment = fn(&Eye, &Path, &mut Outcome) -> Result<()>;

/// The experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Idle processes, normal and converted, without and with KSM (paper 1, Figure 1 without a guest, and 5.1)
    Idle,
    /// The same in one file and in two (paper 2, Figure 5.4)
    Inodes,
    /// Two guests with equal balloons, and how fast KSM merges them (5.3)
    Balloon,
    /// A guest after and during its boot, normal and converted (paper 1, Figures 1 and 2)
    Boot,
    /// What guests have read against the host's page cache (5.9, 5.10, 5.13, 5.14)
    Cache,
    /// Builds in two guests (5.5 to 5.8, 5.11, 5.12)
    Builds,
    /// bzip2 in two guests (5.15)
    Bzip2,
}

impl Name {
    fn run(self, eye: &Eye, scratch: &Path) -> Result<Outcome> {
        let (name, experiment): (_, Experiment) = match self {
            Self::Idle => ("idle", idle::run),
            Self::Inodes => ("inodes", inodes::run),
            Self::Balloon => ("balloon", balloon::run),
            Self::Boot => ("boot", boot::run),
            Self::Cache => ("cache", cache::run),
            Self::Builds => ("builds", builds::run),
            Self::Bzip2 => ("bzip2", bzip2::run),
        };
        let mut outcome = Outcome::new(name);
        let (begun, before) = (Instant::now(), machine::describe()?.load);
        experiment(eye, scratch, &mut outcome).context(name)?;
        outcome.seconds = begun.elapsed().as_secs_f64();
        outcome.load = [before, machine::describe()?.load];
        Ok(outcome)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(file) = arguments.hold.as_ref().or(arguments.hold_copy.as_ref()) {
        return inodes::hold(file, arguments.hold_copy.is_some());
    }
    ensure!(nix::unistd::geteuid().is_root(), "only root can see frames and switch KSM");
    let machine = machine::describe()?;
    println!(
        "{}: {}, {} cores, Linux {}, {}.\n",
        machine.date, machine.cpu, machine.cores, machine.kernel, machine.glibc,
    );
    let eye = Eye::new();
    for lack in eye.lacks() {
        println!("{lack}");
    }
    let style = if arguments.markdown { Style::Markdown } else { Style::Terminal };
    let names = match arguments.names.as_slice() {
        [] => Name::value_variants(),
        names => names,
    };
    let mut outcomes = Vec::new();
    for name in names {
        // Not in memory: pages of tmpfs are of another kind than those of other files.
        let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let outcome = name.run(&eye, scratch.path())?;
        println!("{}", outcome.text(style));
        if let Some(dir) = &arguments.charts {
            fs::create_dir_all(dir)?;
            for (name, svg) in &outcome.charts {
                fs::write(dir.join(format!("memory-{name}.svg")), svg)?;
            }
        }
        outcomes.push(outcome);
        // After each, so that what was found is not lost with what comes.
        if let Some(path) = &arguments.json {
            let all = json!({ "machine": machine, "experiments": outcomes });
            fs::write(path, format!("{all:#}\n")).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

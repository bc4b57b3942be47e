//! `rootfs-tools report`.

use std::path::{Path, PathBuf};

use rootfs_tools::archive::kind;
use rootfs_tools::report::{self, Report, csv, text};

use crate::{Failure, Verdict};
use statify::command_line;

/// Say what a conversion cost
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The converted root file system
    #[arg(value_name = "ROOT")]
    root: PathBuf,
    /// Print it as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print a line for each program, as CSV
    #[arg(long)]
    csv: bool,
}

/// Prints it.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    if kind::of(&arguments.root)?.is_some() {
        return Err(rootfs_tools::Error::ArchiveReported(arguments.root.clone()).into());
    }
    let report = report::read(&arguments.root)?;
    if arguments.json {
        command_line::print(json(&report)?)?;
    } else if arguments.csv {
        command_line::print(csv::csv(&report))?;
    } else {
        command_line::print(text::text(&report))?;
    }
    Ok(Verdict::Good)
}

/// Writes all three into a directory, about the tree `root`, which is called `name`.
pub fn write(root: &Path, name: &Path, dir: &Path) -> Result<(), Failure> {
    let report = Report { root: name.to_owned(), ..report::read(root)? };
    std::fs::create_dir_all(dir).map_err(rootfs_tools::Error::file("written", dir))?;
    let files = [
        ("report.txt", text::text(&report).into_bytes()),
        ("report.json", json(&report)?.into_bytes()),
        ("report.csv", csv::csv(&report)),
    ];
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::write(&path, bytes).map_err(rootfs_tools::Error::file("written", &path))?;
    }
    Ok(())
}

fn json(report: &Report) -> Result<String, Failure> {
    Ok(format!("{}\n", serde_json::to_string_pretty(report)?))
}

//! `elfscan scan`.

mod csv;
mod json;
mod progress;
mod select;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

use elfscan::deps::{self, Environment, Options};
use elfscan::scan::{Counts, Totals, scan};
use statify_elf::ElfFile;
use statify_program::Program;
use statify_room::Root;

use crate::{Failure, Verdict};
use progress::Progress;
use select::{Column, Only};

/// Kind, hardening, needs and verdict of files and directories
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, and directories with all below them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Only rows of these kinds and verdicts; kinds among each other by "or", as verdicts are
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<Only>,
    /// Order of the rows
    #[arg(long, value_name = "COLUMN", default_value = "path")]
    sort: Column,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// PATHs are those of the system in this directory; its own interpreters count
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print JSON: files, problems, totals
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values, a header first
    #[arg(long)]
    csv: bool,
}

/// Prints a row for each ELF file. Bad if anything could not be looked at.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let root = match &arguments.root {
        Some(directory) => Root::open(directory)?,
        None => Root::machine(),
    };
    let counts = Arc::new(Counts::default());
    let mut found = {
        let _progress = Progress::new(&counts);
        let environment = Environment::new(Options::of_conversion(root.clone()));
        let libraries = |program: &Program, _: &ElfFile<'_>| {
            // What no loader can be asked about is for the loader to say.
            let Ok(closure) = deps::closure(&environment, &program.path) else { return Ok(()) };
            deps::refusal(&environment, &closure).map_or(Ok(()), Err)
        };
        scan(&arguments.paths, &root, Some(&libraries), &counts)
    };
    found.rows.retain(|row| select::is_wanted(row, &arguments.only));
    select::sort(&mut found.rows, arguments.sort, arguments.reverse);
    let totals = Totals::of(&found.rows);
    if arguments.json {
        statify_command_line::print_json(&json::document(&found, &totals, &counts))?;
    } else if arguments.csv {
        statify_command_line::print(&csv::text(&found.rows)?)?;
    } else {
        statify_command_line::print(&table::text(&found.rows, &totals, &counts))?;
    }
    if !arguments.json {
        for problem in &found.problems {
            statify_command_line::say("elfscan", &problem.reason);
        }
    }
    Ok(if found.problems.is_empty() { Verdict::Good } else { Verdict::Bad })
}

//! `pagescan share`

use std::path::PathBuf;

use pagescan::share::{By, Options, Source, Table, csv, page, share, text};
use statify_command_line::{print, print_bytes, print_json};

use crate::{Failure, Verdict};

/// Which memory is shared, which could be, and between whom
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Snapshots; of a file that has several, the last. Those of one machine have their frames in common
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Another snapshot of each file than the last, by its number; the first is 1
    #[arg(long, value_name = "N")]
    at: Option<usize>,
    /// What pages belong to: sharing within one is internal, between several external
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// How many pages KSM puts in one frame at most (/sys/kernel/mm/ksm/max_page_sharing)
    #[arg(long, value_name = "PAGES", default_value_t = 256, value_parser = clap::value_parser!(u64).range(2..))]
    max_page_sharing: u64,
    /// How many of the largest duplicates to tell
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = parse_few)]
    largest: usize,
    /// How many of the largest processes, guests and so on to hold against one another
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = parse_few)]
    matrix: usize,
    /// All of it as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// A table as comma-separated values
    #[arg(long, value_name = "TABLE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "classes")]
    csv: Option<Table>,
    /// Write all of it with charts as a web page, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// A number of things that all are looked at together.
fn parse_few(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= 10_000 => Ok(number),
        Ok(_) => Err("at most 10000".into()),
        Err(error) => Err(format!("{error}")),
    }
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let choose = |file: &PathBuf| Source::choose(file, arguments.at);
    let sources = arguments.files.iter().map(choose).collect::<Result<Vec<_>, _>>()?;
    let options = Options {
        by: arguments.by,
        max_page_sharing: arguments.max_page_sharing,
        largest: arguments.largest,
        matrix: arguments.matrix,
    };
    let answer = share(&sources, &options)?;
    if let Some(file) = &arguments.html {
        let written = statify_files::new_file::write(file, page(&answer).as_bytes());
        written.map_err(|error| pagescan::Error::Output(file.clone(), error))?;
    }
    match arguments.csv {
        Some(table) => print_bytes(csv(&answer, table).as_bytes())?,
        None if arguments.json => print_json(&answer)?,
        None => print(&text(&answer))?,
    }
    Ok(Verdict::Good)
}

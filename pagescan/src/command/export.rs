//! `pagescan export`

use std::path::PathBuf;

use pagescan::export::{Kind, export};
use statify_command_line::print;

use crate::{Failure, Verdict};

/// Write snapshots as tables that other programs read
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Snapshots; of a file that has several, all
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    to: To,
    /// The Parquet files in folders by host and day (TABLE/host=NAME/day=DATE): then engines read only what they are asked about
    #[arg(long, requires = "parquet")]
    hive: bool,
}

/// As what, and where to.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct To {
    /// A file of comma-separated values for each snapshot in this directory, a line for each page
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
    /// Parquet files in this directory, for which sql/ has questions; many snapshots can be in one
    #[arg(long, value_name = "DIR")]
    parquet: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let mut count = 0;
    for file in &arguments.files {
        let parquet = if arguments.hive { Kind::Hive } else { Kind::Parquet };
        let to = [(Kind::Csv, &arguments.to.csv), (parquet, &arguments.to.parquet)];
        let mut of_file = 0;
        for (kind, dir) in to {
            if let Some(dir) = dir {
                of_file = export(file, kind, dir)?;
            }
        }
        count += of_file;
    }
    print(&match count {
        1 => "1 snapshot written\n".to_owned(),
        count => format!("{count} snapshots written\n"),
    })?;
    Ok(Verdict::Good)
}

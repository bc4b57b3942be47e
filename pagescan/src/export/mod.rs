//! Snapshots for other programs: CSV for spreadsheets, Parquet for those that ask many snapshots at once.
//! docs/src/reference/pagescan-tables.md has the tables; sql/ has questions to them, in SQL that DuckDB and Spark both run.

mod csv;
mod hive;
mod ids;
mod output;
mod pages;
mod parquet;
mod table;

use std::path::Path;

use crate::error::{Error, Result};
use crate::share::{Source, open};
use crate::snapshot::read_next;

/// How snapshots are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file for each snapshot, a line for each page.
    Csv,
    /// A directory for each table, in it a file for each snapshot.
    Parquet,
    /// The same in folders by host and day, for many machines.
    Hive,
}

/// Writes all snapshots of a file into a directory, which is made if there is none. Returns how many. One is at hand at a time.
pub fn export(file: &Path, kind: Kind, dir: &Path) -> Result<usize> {
    let sources = Source::outline(file)?;
    for source in &sources {
        let Source::File { path, stamp, at, .. } = source else { continue };
        let damage = |damage| Error::Snapshot(path.into(), damage);
        let read = read_next(&mut open(path, stamp, *at)?).map_err(damage)?;
        let Some(snapshot) = read else { continue };
        match kind {
            Kind::Csv => csv::write(&snapshot, dir)?,
            Kind::Parquet => parquet::write(&snapshot, dir, Path::new(""))?,
            Kind::Hive => parquet::write(&snapshot, dir, &hive::folder(&snapshot.header))?,
        }
    }
    Ok(sources.len())
}

//! Snapshots for other programs: CSV for spreadsheets, Parquet for those that ask many snapshots at once.
//! docs/src/reference/pagescan-tables.md has the tables; sql/ has questions to them, in SQL that DuckDB and Spark both run.

mod csv;
mod hive;
mod ids;
mod output;
mod parquet;
mod table;

use std::path::{Path, PathBuf};

use statify_files::trusted::{self, Way};

use crate::error::{Error, Result};
use crate::share::{Source, open};
use crate::snapshot::{Snapshot, read_next};

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

/// A directory, and the path of a file in it.
fn directory(path: &Path, name: &str) -> Result<(trusted::Place, PathBuf)> {
    let place = trusted::directory(path, Way::Any, Some(0o700));
    let place = place.map_err(|error| Error::Output(path.into(), error))?;
    let path = path.join(name);
    Ok((place, path))
}

/// What a page's frame is of the snapshot, if it is one.
fn pages(snapshot: &Snapshot) -> impl Iterator<Item = Page> {
    let cached = snapshot.files.iter().enumerate().flat_map(|(file, cached)| {
        let runs = cached.runs.iter();
        runs.flat_map(move |run| {
            let page = move |nth| Page {
                task: None,
                file: Some(file),
                page: run.page + nth,
                frame: (run.frame + nth) as usize,
                flags: run.flags.0,
            };
            (0..run.len).map(page)
        })
    });
    let mapped = snapshot.tasks.iter().enumerate().flat_map(|(task, of_task)| {
        of_task.vmas.iter().enumerate().flat_map(move |(vma, of_vma)| {
            of_vma.runs.iter().flat_map(move |run| {
                let page = move |nth| Page {
                    task: Some((task, vma)),
                    file: of_vma.mapping.file.map(|file| file as usize),
                    page: run.page + nth,
                    frame: (run.frame + nth) as usize,
                    flags: run.flags.0,
                };
                (0..run.len).map(page)
            })
        })
    });
    cached.chain(mapped)
}

/// A page of a process or of a cached file.
struct Page {
    /// The process and the mapping, by index; none of the page cache.
    task: Option<(usize, usize)>,
    /// The file, by index.
    file: Option<usize>,
    /// Its number in the mapping or file.
    page: u64,
    /// The frame's index.
    frame: usize,
    flags: u8,
}

//! `rootfs-tools report`.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use rootfs_tools::packed::kind;
use rootfs_tools::report::csv::{self, Table};
use rootfs_tools::report::measured::{ImageWanted, Wanted};
use rootfs_tools::report::{self, Report, html, text};
use statify_command_line::signals;
use statify_files::new_file;
use statify_files::trusted::{self, Way};
use tempfile::TempDir;

use crate::{Failure, Verdict};

/// Of a directory that is made for reports, for the umask to take from.
const MODE: u32 = 0o777;

/// Say what a conversion cost
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The converted root file system
    #[arg(value_name = "ROOT")]
    root: PathBuf,
    /// Print it as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print a table as CSV; that of the programs if none is named
    #[arg(
        long,
        value_name = "TABLE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = Table::ALL[0].1,
        value_parser = PossibleValuesParser::new(Table::ALL.map(|(_, name)| name)).map(table)
    )]
    csv: Option<Table>,
    /// Write it as a web page with charts, besides
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Count the unique chunks of 4, 16, 64 and 256 KiB in all files, before and after, which are read
    /// for that
    #[arg(long)]
    chunks: bool,
    /// Count those of ext4 images of the tree, before and after, made by mkfs.ext4 in $TMPDIR, where as
    /// much room as for a copy of the tree is needed (two, where the originals are in a backup directory)
    #[arg(long)]
    image_chunks: bool,
    /// Have files in these images begin at multiples of so many bytes (ext4's bigalloc), so that equal ones
    /// fill equal chunks of that size
    #[arg(long, value_name = "BYTES", requires = "image_chunks", default_value_t = 4096, value_parser = cluster)]
    image_cluster: u64,
    /// Compare with the statically linked programs in these directories, by file name, also with
    /// `-static` or `.static` behind it
    #[arg(long, value_name = "DIR", num_args = 1..)]
    compare_static: Vec<PathBuf>,
}

fn cluster(text: &str) -> Result<u64, String> {
    const MOST: u64 = 1 << 20;
    match text.parse::<u64>() {
        Ok(bytes) if bytes.is_power_of_two() && (4096..=MOST).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a power of two from 4096 to {MOST} is wanted")),
    }
}

fn table(name: String) -> Table {
    let known = Table::ALL.into_iter().find(|(_, known)| *known == name);
    known.expect("clap lets only these through").0
}

/// Prints it.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    if kind::of(&arguments.root)?.is_some() {
        return Err(rootfs_tools::Error::ArchiveReported(arguments.root.clone()).into());
    }
    let scratch = arguments.image_chunks.then(scratch).transpose()?;
    let report = report::read(
        &arguments.root,
        &Wanted {
            chunks: arguments.chunks,
            image: scratch.as_ref().map(|dir| ImageWanted {
                scratch: dir.path().to_owned(),
                cluster: arguments.image_cluster,
            }),
            statics: arguments.compare_static.clone(),
        },
    )?;
    if let Some(scratch) = scratch {
        let path = scratch.path().to_owned();
        scratch.close().map_err(rootfs_tools::Error::file("removed", &path))?;
    }
    if let Some(path) = &arguments.html {
        let page = html::html(&report);
        new_file::write(path, page.as_bytes())
            .map_err(rootfs_tools::Error::file("written", path))?;
    }
    if arguments.json {
        statify_command_line::print_json(&report)?;
    } else if let Some(table) = arguments.csv {
        statify_command_line::print(&csv::csv(&report, table))?;
    } else {
        statify_command_line::print(&text::text(&report))?;
    }
    Ok(Verdict::Good)
}

/// A directory for what is not to stay, whatever ends the run but SIGKILL.
fn scratch() -> Result<TempDir, Failure> {
    let parent = std::env::temp_dir();
    let dir = tempfile::Builder::new().prefix("rootfs-tools-").tempdir_in(&parent);
    let dir = dir.map_err(rootfs_tools::Error::file("written", &parent))?;
    let path = dir.path().to_owned();
    signals::at_end(move || {
        statify::interrupt::give_up();
        // What is being copied meanwhile may come in behind; without its directory nothing does.
        for _ in 0..100 {
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
    })?;
    Ok(dir)
}

/// Writes all of it into a directory, about the tree `root`, which is called `name`.
pub fn write(root: &Path, name: &Path, dir: &Path) -> Result<(), Failure> {
    let report = Report { root: name.to_owned(), ..report::read(root, &Wanted::default())? };
    let place = trusted::directory(dir, Way::Any, Some(MODE))
        .map_err(rootfs_tools::Error::file("written", dir))?;
    let write = |name: &str, bytes: &[u8]| {
        let written = new_file::write_in(&place, name, bytes);
        written.map_err(rootfs_tools::Error::file("written", &dir.join(name)))
    };
    write("report.txt", text::text(&report).as_bytes())?;
    write("report.json", statify_command_line::json(&report)?.as_bytes())?;
    write("report.html", html::html(&report).as_bytes())?;
    for (table, name) in Table::ALL {
        let name = match table {
            Table::Programs => "report.csv".to_owned(),
            // Nobody has asked for these.
            Table::Chunks | Table::Statics => continue,
            _ => format!("report-{name}.csv"),
        };
        write(&name, csv::csv(&report, table).as_bytes())?;
    }
    Ok(())
}

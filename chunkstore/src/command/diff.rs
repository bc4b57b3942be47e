//! `chunkstore diff`

use chunkstore::diff::{self, Chunks, Files, Report, What};
use statify_command_line::{print, print_json};

use super::size;
use crate::place::StoreArguments;
use crate::{Failure, Verdict};

/// Compare two images of a store: chunks, bytes and files
///
/// Files are compared if both images are ext4 or EROFS, whichever of them each is. Nothing is mounted.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The first image's name in the store
    first: String,
    /// The second image's name
    second: String,
    #[command(flatten)]
    store: StoreArguments,
    /// How many ranges, and files of each kind, are named
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    most: usize,
    /// What differs as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    let (first, second) = (store.index(&arguments.first)?, store.index(&arguments.second)?);
    let report = diff::diff(store, first, second, arguments.most)?;
    match arguments.json {
        true => print_json(&report)?,
        false => print(&text(&report, [&arguments.first, &arguments.second]))?,
    }
    Ok(Verdict::Good)
}

fn text(report: &Report, [first, second]: [&str; 2]) -> String {
    let chunks = |what: &str, chunks: &Chunks| {
        let Chunks { chunks, bytes, stored_bytes } = chunks;
        format!("{what}: {chunks} chunks, {}, {} stored\n", size(*bytes), size(*stored_bytes))
    };
    let ranges = &report.ranges;
    let mut text = [
        chunks("in both", &report.both),
        chunks(&format!("only in {first}"), &report.first_only),
        chunks(&format!("only in {second}"), &report.second_only),
        format!("{} ranges differ, {}\n", ranges.count, size(ranges.bytes)),
    ]
    .concat();
    for range in &ranges.first {
        text += &format!("  {} bytes at {}\n", range.length, range.offset);
    }
    text += &rest(ranges.count, ranges.first.len());
    match (&report.files, &report.no_files) {
        (Some(files), _) => text += &of_files(files),
        (None, why) => {
            let why = why.as_deref().unwrap_or_default();
            text += &format!("files are not compared: {}\n", statify_printable::printable(why));
        }
    }
    text
}

fn of_files(files: &Files) -> String {
    let Files { added, removed, changed, changes } = files;
    let mut text = format!("{added} files added, {removed} removed, {changed} changed\n");
    for change in changes {
        let sign = match change.what {
            What::Added => '+',
            What::Removed => '-',
            What::Contents => '!',
            What::Attributes => '@',
            What::TooLong => '?',
        };
        text += &format!("  {sign} {}\n", statify_printable::printable(&change.path));
    }
    text + &rest(added + removed + changed, changes.len())
}

fn rest(count: u64, named: usize) -> String {
    match count - named as u64 {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    }
}

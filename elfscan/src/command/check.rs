//! `elfscan check`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use elfscan::converted::check::{self, Findings};
use elfscan::converted::open::{self, MappedFile};
use serde_json::json;

use crate::{Failure, Verdict};

/// Whether a converted file is as it was written
///
/// Headers, tables, the manifest, every embedded file's hash and the build-id over everything else. A
/// file whose hashes were all made anew by whoever changed it is not told from another conversion: there
/// is no signature. If it maps pages from a pool (statify --pool), what is there on this machine is looked at, too.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The converted files
    #[arg(value_name = "OUT", required = true)]
    files: Vec<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Checks each file.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let mut all_good = true;
    let mut answers = Vec::new();
    for path in &arguments.files {
        let found = look(path);
        all_good &= found.as_ref().is_ok_and(|found| found.problems.is_empty());
        if arguments.json {
            answers.push(as_json(path, found));
        } else {
            statify_command_line::print(&as_text(path, found))?;
        }
    }
    if arguments.json {
        statify_command_line::print_json(&answers)?;
    }
    Ok(if all_good { Verdict::Good } else { Verdict::Bad })
}

fn look(path: &Path) -> elfscan::Result<Findings> {
    let file = MappedFile::open(path)?;
    let converted = open::read(&file)?;
    let mut found = check::check(&converted, &file.extents);
    check::check_pool_on_this_machine(&converted, &mut found);
    Ok(found)
}

fn as_json(path: &Path, found: elfscan::Result<Findings>) -> serde_json::Value {
    let file = path.to_string_lossy();
    match found {
        Ok(found) => json!({
            "file": file,
            "intact": found.problems.is_empty(),
            "problems": found.problems,
            "notices": found.notices,
        }),
        Err(error) => json!({ "file": file, "intact": false, "error": error.to_string() }),
    }
}

fn as_text(path: &Path, found: elfscan::Result<Findings>) -> String {
    let name = statify_printable::path(path);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match found {
        Ok(found) => {
            for notice in &found.notices {
                let _ = writeln!(text, "{name}: notice: {notice}");
            }
            for problem in &found.problems {
                let _ = writeln!(text, "{name}: {problem}");
            }
            if found.problems.is_empty() { writeln!(text, "{name}: intact") } else { Ok(()) }
        }
        Err(error) => writeln!(text, "{}", statify_printable::printable(&error.to_string())),
    };
    text
}

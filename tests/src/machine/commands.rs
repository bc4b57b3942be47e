//! No suite runs a command that the machine may lack without saying so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::EVERYWHERE;

/// The sources of a suite: a file, or those of a directory.
fn sources(path: &Path, all: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory").flatten() {
            sources(&entry.path(), all);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        all.push(path.to_owned());
    }
}

#[test]
fn every_command_is_needed_or_everywhere() {
    let run =
        Regex::new(r#"(?:Command::new|\.command|\bfilter)\(\s*"([^"]+)""#).expect("a pattern");
    let need = Regex::new(r#"program:([^"|{]+)"#).expect("a pattern");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut unknown) = (0, Vec::new());
    for suite in fs::read_dir(tests).expect("the tests").flatten() {
        // The commands that people run say themselves what they miss.
        if suite.file_name() == "src" {
            continue;
        }
        let mut files = Vec::new();
        sources(&suite.path(), &mut files);
        let texts: Vec<String> =
            files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let names = |pattern: &Regex| -> BTreeSet<String> {
            let of = |text: &String| -> Vec<String> {
                pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
            };
            texts.iter().flat_map(of).collect()
        };
        let needed = names(&need);
        for name in names(&run) {
            let command = name.rsplit('/').next().unwrap_or_default();
            let known = needed.contains(command) || EVERYWHERE.contains(&command);
            if !known {
                unknown.push(format!("{}: program:{command}", suite.path().display()));
            }
            found += 1;
        }
    }
    assert!(unknown.is_empty(), "run, and needed by no test:\n{}", unknown.join("\n"));
    assert!(found > 20, "only {found} commands: the pattern finds them no more");
}

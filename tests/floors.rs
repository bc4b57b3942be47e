//! The house has floors: what a crate may use, and that no file imports one that imports it.
//!
//! | rule | where it is |
//! |---|---|
//! | a crate uses crates of lower floors only | `FLOORS`, held against the manifests |
//! | elfscan links no tracer, and libraries no command line | `NEVER`, and what is optional in the commands' manifests |
//! | what manifests say has no tests has none | `doctest = false`, and `test = false` of a command: cargo builds less for it |
//! | files import one another in no circle | `tests/floors/imports.rs`, from `use` lines and paths in the sources |
//!
//! In a folder the file `mod.rs` is its face: it hands on what the other files define. Handing on (`pub use`) is no import, and
//! who imports by a face what another file defines imports that file. What a face defines itself is as in any other file: if a
//! file of the folder uses it, and the face that file, they are a circle; what both need goes into a file of its own. `FACES`
//! are those that are not mended yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use imports::{Imports, by_folder, imports, imports_of, paths_of, read_all};

#[path = "floors/imports.rs"]
mod imports;

/// Directories of crates, from the ground up.
const FLOORS: &[&[&str]] = &[
    &["crates/params", "crates/printable", "crates/vm", "tests/init"],
    &["crates/elf", "crates/web-page", "starter"],
    &["crates/format"],
    &["crates/files"],
    &["crates/process"],
    &["crates/room"],
    &["crates/program", "crates/command-line", "crates/store"],
    &["statify", "elfscan", "chunkstore", "pagescan"],
    &["rootfs-tools"],
    &["tests", "bench"],
];

/// What stands in examples that are none of Rust.
const PROSE: [&str; 5] = ["text", "console", "json", "c", "sql"];

/// What a crate may never depend on, and why.
const NEVER: &[(&str, &str, &str)] = &[
    ("elfscan", "statify-convert", "it executes nothing, so it links no tracer"),
    ("crates/elf", "clap", "libraries do not know the command line"),
    ("crates/process", "clap", "libraries do not know the command line"),
    ("crates/format", "clap", "libraries do not know the command line"),
    ("crates/room", "clap", "libraries do not know the command line"),
    ("crates/program", "clap", "libraries do not know the command line"),
    ("crates/files", "clap", "libraries do not know the command line"),
];

/// Faces whose folder has files that import them and are imported by them, as yet: the test fails as well if one is no longer.
const FACES: &[(&str, &str, &str)] = &[
    ("statify", "capture", "`Capture` and what belongs to it, and the order of a capture"),
    ("statify", "layout", "`Plan` and what belongs to it, and the order in which one is made"),
    ("statify", "layout/tables", "tables, and the records in them"),
];

#[test]
fn crates_use_lower_floors_only() {
    let floor = |krate: &str| FLOORS.iter().position(|floor| floor.contains(&krate));
    let names: BTreeMap<String, &str> = all_crates().map(|krate| (name_of(krate), krate)).collect();
    let mut wrong = Vec::new();
    for krate in all_crates() {
        for used in dependencies(krate) {
            let Some(&used) = names.get(&used) else { continue };
            if floor(used) >= floor(krate) {
                wrong.push(format!("{krate} uses {used}, which is on no lower floor"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_crate_has_a_floor() {
    let manifest = fs::read_to_string(top().join("Cargo.toml")).expect("the workspace's manifest");
    let members = manifest.split_once("members = [").expect("it has members").1;
    let members = members.split_once(']').expect("a list ends").0;
    let known: BTreeSet<&str> = all_crates().collect();
    let without: Vec<_> = members
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|member| !known.contains(member) && *member != "xtask")
        .collect();
    assert!(without.is_empty(), "these stand on no floor: {without:?}");
}

#[test]
fn crates_do_without_what_is_not_theirs() {
    let mut wrong = Vec::new();
    for &(krate, never, why) in NEVER {
        if dependencies(krate).contains(never) {
            wrong.push(format!("{krate} depends on {never}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_of_commands_do_without_the_command_line() {
    let mut wrong = Vec::new();
    for krate in ["statify", "elfscan", "rootfs-tools", "chunkstore", "pagescan"] {
        for line in manifest(krate).lines() {
            let name = line.split(['.', ' ']).next().unwrap_or_default();
            let is_command_line = ["clap", "indicatif", "statify-command-line"].contains(&name);
            if is_command_line && !line.contains("optional = true") {
                wrong.push(format!("{krate}: {name} is for its command only, so optional"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cargo_is_told_to_leave_out_has_no_tests() {
    let fence = Regex::new(r"(?m)^\s*//[/!] ```(\w*)").expect("a pattern");
    let mut wrong = Vec::new();
    for krate in all_crates() {
        let dir = top().join(krate).join("src");
        let manifest = manifest(krate);
        if manifest.contains("doctest = false") {
            let root = fs::read_to_string(dir.join("lib.rs")).expect("a library has a root");
            let root = [("lib".to_owned(), root)];
            for (path, text) in read_all(&dir, "").into_iter().chain(root) {
                let marks: Vec<String> =
                    fence.captures_iter(&text).map(|found| found[1].to_owned()).collect();
                // Every other one is an end.
                if marks.iter().step_by(2).any(|mark| !PROSE.contains(&mark.as_str())) {
                    wrong.push(format!("{krate}: an example in {path} is not tried"));
                }
            }
        }
        if manifest.lines().any(|line| line == "test = false") {
            let mains =
                ["main.rs", "bin/arm64/main.rs", "bin/fleet/main.rs", "bin/portable/main.rs"];
            for main in mains.iter().filter_map(|main| fs::read_to_string(dir.join(main)).ok()) {
                if main.contains("#[test]") {
                    wrong.push(format!("{krate}: a test in its command does not run"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_imports_one_that_imports_it() {
    let (mut circles, mut faces) = (Vec::new(), BTreeSet::new());
    for krate in all_crates() {
        let mut imports = imports(&top().join(krate).join("src"));
        for &(_, face, _) in FACES.iter().filter(|(of, ..)| *of == krate) {
            if imports.circles().iter().any(|circle| circle.iter().any(|file| file == face)) {
                faces.insert((krate, face));
            }
            for (file, others) in &mut imports.0 {
                if file.starts_with(&format!("{face}/")) {
                    others.remove(face);
                }
            }
        }
        let folders = by_folder(&imports);
        for graph in [&imports, &folders] {
            for circle in graph.circles() {
                circles.push(format!("{krate}: {}", circle.join(", ")));
            }
        }
    }
    assert!(circles.is_empty(), "these import one another:\n{}", circles.join("\n"));
    let listed: BTreeSet<_> = FACES.iter().map(|&(krate, face, _)| (krate, face)).collect();
    assert_eq!(faces, listed, "FACES are those that are in a circle with files of their folders");
}

#[test]
fn faces_count_by_what_they_define() {
    let sources = [
        ("a", "mod b; mod c; mod d; pub use b::B; pub struct A; fn f() { c::g() }"),
        ("a/b", "use super::c::C; pub struct B;"),
        ("a/c", "use super::B; pub struct C;"),
        ("a/d", "use super::A;"),
    ];
    let sources = sources.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let mut imports = imports_of(&BTreeMap::from(sources.clone()));
    assert_eq!(imports.circles(), [["a/b", "a/c"]]);
    imports.0.insert("a/c".into(), BTreeSet::from(["a".into()]));
    assert_eq!(imports.circles(), [["a", "a/c"]]);
}

#[test]
fn circles_are_found() {
    let mut graph = Imports::default();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")] {
        graph.0.entry(from.into()).or_default().insert(to.into());
    }
    assert_eq!(graph.circles(), [["a", "b", "c"]]);
    assert_eq!(paths_of("a::{b, c::{D, self}, e as f}"), ["a::b", "a::c::D", "a::c::self", "a::e"]);
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the repository").to_owned()
}

fn all_crates() -> impl Iterator<Item = &'static str> {
    FLOORS.iter().flat_map(|floor| floor.iter().copied())
}

fn manifest(krate: &str) -> String {
    let path = top().join(krate).join("Cargo.toml");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The package's name.
fn name_of(krate: &str) -> String {
    let manifest = manifest(krate);
    let line = manifest.lines().find_map(|line| line.strip_prefix("name = \""));
    line.expect("a package has a name").trim_end_matches('"').to_owned()
}

/// What a package depends on, but for its tests.
fn dependencies(krate: &str) -> BTreeSet<String> {
    let mut is_dependency = false;
    let mut names = BTreeSet::new();
    for line in manifest(krate).lines() {
        if line.starts_with('[') {
            is_dependency = matches!(line, "[dependencies]" | "[build-dependencies]");
        } else if let Some((name, _)) = line.split_once(['.', ' ']).filter(|_| is_dependency) {
            names.insert(name.to_owned());
        }
    }
    names
}

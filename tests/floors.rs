//! The house has floors: what a crate may use, and that no file imports one that imports it.
//!
//! | rule | where it is |
//! |---|---|
//! | a crate uses crates of lower floors only | `FLOORS`, held against the manifests |
//! | elfscan links no tracer, and libraries no command line | `NEVER`, and what is optional in the commands' manifests |
//! | files import one another in no circle | read from `use` lines and paths in the sources |
//!
//! In a folder the file `mod.rs` is its face: it hands on what the other files define, and may define what all of them
//! use. So an import of a folder's face from inside that folder counts for nothing; all others do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Directories of crates, from the ground up.
const FLOORS: &[&[&str]] = &[
    &["crates/params", "crates/printable", "crates/vm"],
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
fn no_file_imports_one_that_imports_it() {
    let mut circles = Vec::new();
    for krate in all_crates() {
        let imports = imports(&top().join(krate).join("src"));
        let folders = by_folder(&imports);
        for graph in [&imports, &folders] {
            for circle in graph.circles() {
                circles.push(format!("{krate}: {}", circle.join(", ")));
            }
        }
    }
    assert!(circles.is_empty(), "these import one another:\n{}", circles.join("\n"));
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

/// Which file of a crate imports which, by their paths in it without the ending.
#[derive(Debug, Default)]
struct Imports(BTreeMap<String, BTreeSet<String>>);

impl Imports {
    /// Files that reach one another, each circle once; sorted.
    fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            self.0.keys().map(|from| (from, self.reached_from(from))).collect();
        let mut circles = BTreeSet::new();
        for (from, reaches) in &reached {
            let back = |to: &&&String| reached.get(**to).is_some_and(|them| them.contains(from));
            let circle: Vec<String> = reaches.iter().filter(back).map(|to| (*to).clone()).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached_from(&self, from: &String) -> BTreeSet<&String> {
        let mut reached = BTreeSet::new();
        let mut left: Vec<&String> = self.0.get(from).into_iter().flatten().collect();
        while let Some(next) = left.pop() {
            if reached.insert(next) {
                left.extend(self.0.get(next).into_iter().flatten());
            }
        }
        reached
    }
}

/// The same of folders and files at the top of a crate.
fn by_folder(imports: &Imports) -> Imports {
    let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let mut folders = Imports::default();
    for (from, to) in &imports.0 {
        let from = top(from);
        let others = to.iter().map(|to| top(to)).filter(|to| *to != from);
        folders.0.entry(from.clone()).or_default().extend(others);
    }
    folders
}

fn imports(src: &Path) -> Imports {
    let sources = sources(src, "");
    let mut imports = Imports::default();
    let word = Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").expect("a pattern");
    let uses = Regex::new(r"\buse\s+([^;]+);").expect("a pattern");
    for (path, text) in &sources {
        let text = without_comments_and_tests(text);
        let mut paths: Vec<String> =
            uses.captures_iter(&text).flat_map(|found| paths_of(&found[1])).collect();
        let rest = uses.replace_all(&text, "");
        paths.extend(word.find_iter(&rest).map(|found| found.as_str().to_owned()));
        let to = paths.iter().filter_map(|named| resolve(named, path, &sources));
        let is_face = |to: &String| path.starts_with(&format!("{to}/"));
        let others = to.filter(|to| to != path && !is_face(to)).collect();
        imports.0.insert(path.clone(), others);
    }
    imports
}

/// The sources below a directory, by their paths in it.
fn sources(dir: &Path, prefix: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries.map(|entry| entry.expect("a directory can be read")) {
        let name = entry.file_name().into_string().expect("our names are text");
        if entry.path().is_dir() {
            // Programs of their own.
            if !(prefix.is_empty() && name == "bin") {
                found.extend(sources(&entry.path(), &format!("{prefix}{name}/")));
            }
        } else if let Some(stem) = name.strip_suffix(".rs") {
            let path = match stem {
                "mod" => prefix.trim_end_matches('/').to_owned(),
                // Roots import everything, and nothing them.
                "lib" | "main" if prefix.is_empty() => continue,
                stem => format!("{prefix}{stem}"),
            };
            found.insert(path, fs::read_to_string(entry.path()).expect("a source can be read"));
        }
    }
    found
}

fn without_comments_and_tests(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n");
    match text.find("#[cfg(test)]\nmod ") {
        Some(at) if text[at..].lines().nth(1).is_some_and(|line| line.ends_with('{')) => {
            text[..at].to_owned()
        }
        _ => text,
    }
}

/// The paths that a `use` names.
fn paths_of(text: &str) -> Vec<String> {
    let text = text.trim();
    let Some((prefix, rest)) = text.split_once('{') else {
        return vec![text.split_whitespace().next().unwrap_or_default().to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(paths_of).map(|path| format!("{}{path}", prefix.trim())).collect()
}

/// The file that a path leads to which stands in the file `from`.
fn resolve(named: &str, from: &str, sources: &BTreeMap<String, String>) -> Option<String> {
    let mut here: Vec<&str> = from.split('/').collect();
    let mut names = named.split("::").peekable();
    match *names.peek()? {
        "crate" => {
            here.clear();
            names.next();
        }
        "self" | "super" => {
            while let Some(step) = names.next_if(|name| matches!(*name, "self" | "super")) {
                if step == "super" {
                    here.pop();
                }
            }
        }
        // A file below, named without more; or a crate.
        child if sources.contains_key(&format!("{from}/{child}")) => {}
        _ => return None,
    }
    for name in names {
        let mut further = here.clone();
        further.push(name);
        if !sources.contains_key(&further.join("/")) {
            break;
        }
        here = further;
    }
    let path = here.join("/");
    sources.contains_key(&path).then_some(path)
}

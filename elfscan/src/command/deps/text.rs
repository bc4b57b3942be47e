//! Rules, versions and what is wrong, in words.

use std::fmt::Write;

use elfscan::deps::{
    self, Closure, Conflict, ConflictKind, Kind, Module, Outcome, Request, Rule, Slot,
};

/// A name out of a file.
pub fn printable(bytes: &[u8]) -> String {
    statify_printable::printable(&String::from_utf8_lossy(bytes))
}

/// The rule by which a module was found.
pub fn rule(closure: &Closure, module: &Module) -> String {
    let of = |index: usize, directory: &[u8], written: &Option<deps::Name>| {
        let mut words = printable(directory);
        if let Some(written) = written {
            words = format!("{} = {words}", printable(written));
        }
        if module.requester != Some(index) {
            let _ = write!(words, " of {}", printable(&closure.modules[index].path));
        }
        words
    };
    let mut words = match &module.rule {
        Rule::Path => "path".into(),
        Rule::Rpath { of: index, directory, written } => {
            format!("RPATH {}", of(*index, directory, written))
        }
        Rule::Runpath { of: index, directory, written } => {
            format!("RUNPATH {}", of(*index, directory, written))
        }
        Rule::LibraryPath { directory } => format!("library path {}", printable(directory)),
        Rule::Cache => "cache".into(),
        Rule::Configured { directory } => format!("configured {}", printable(directory)),
        Rule::Default { directory } => format!("default {}", printable(directory)),
        Rule::Loader => "the loader".into(),
        Rule::Subject => String::new(),
    };
    if let Some(subdirectory) = module.subdirectory.as_ref().filter(|name| !name.is_empty()) {
        let _ = write!(words, ", {}", printable(subdirectory));
    }
    words
}

/// As `ldd` lists it, without addresses.
pub fn list(closure: &Closure) -> String {
    let mut text = String::new();
    for slot in &closure.order {
        let _ = match slot {
            Slot::Module(index) => {
                let module = &closure.modules[*index];
                let path = printable(&module.path);
                let loaded = |request: &&Request| matches!(request.outcome, Outcome::Loaded(loaded) if loaded == *index);
                let request = closure.requests.iter().find(loaded);
                let name = request.map(|request| printable(&request.name));
                match name.filter(|name| *name != path && module.rule != Rule::Loader) {
                    Some(name) => writeln!(text, "{name} => {path}"),
                    None => writeln!(text, "{path}"),
                }
            }
            Slot::Missing(request) => {
                let request = &closure.requests[*request];
                let why = match &request.outcome {
                    Outcome::Refused { path, why } => {
                        format!("{}: {}", printable(path), reason(why))
                    }
                    _ => "not found".into(),
                };
                writeln!(text, "{} => {why}", printable(&request.name))
            }
        };
    }
    text
}

/// What is missing, and what may get in each other's way; nothing if all is well.
pub fn remarks(closure: &Closure) -> String {
    let mut lines = Vec::new();
    let path = |index: usize| printable(&closure.modules[index].path);
    if closure.interpreter.library.is_none() {
        lines.push(format!(
            "missing: the loader {}; where it would look is assumed",
            printable(closure.interpreter.loader.path.as_os_str().as_encoded_bytes())
        ));
    }
    for request in closure.failures() {
        lines.push(match &request.outcome {
            Outcome::Refused { path: file, why } => {
                let (file, why) = (printable(file), reason(why));
                format!("refused: {file}: {why}, needed by {}", path(request.by))
            }
            Outcome::Missing { others } if !others.is_empty() => {
                let others: Vec<String> = others.iter().map(|other| printable(other)).collect();
                format!(
                    "missing: {}, needed by {}; for another machine: {}",
                    printable(&request.name),
                    path(request.by),
                    others.join(", ")
                )
            }
            _ => format!("missing: {}, needed by {}", printable(&request.name), path(request.by)),
        });
    }
    for missing in deps::missing(closure) {
        lines.push(format!(
            "missing: version {} in {}, needed by {}",
            printable(missing.name),
            path(missing.of),
            path(missing.by)
        ));
    }
    for Conflict { name, kind, modules } in deps::conflicts(closure) {
        let what = match kind {
            ConflictKind::Duplicate => "loaded twice",
            ConflictKind::Versions => "two versions",
        };
        let paths: Vec<String> = modules.into_iter().map(path).collect();
        lines.push(format!("{what}: {}: {}", printable(&name), paths.join(", ")));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Why a loader refuses a file.
pub fn reason(why: &Option<String>) -> &str {
    why.as_deref().unwrap_or("it is cut off, and the loader dies of it")
}

/// How a request is made, where that is not DT_NEEDED.
pub fn kind(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Needed => None,
        Kind::Auxiliary => Some("auxiliary"),
        Kind::Filter => Some("filter"),
        Kind::Preload => Some("preloaded"),
    }
}

/// Versions in their order; all, or how far they reach.
pub fn versions(names: &[deps::Name], all: bool) -> String {
    let mut names: Vec<String> = names.iter().map(|name| printable(name)).collect();
    names.sort_by_key(|name| numbers(name));
    match names.as_slice() {
        [first, .., last] if !all && names.len() > 2 => format!("{first} .. {last}"),
        _ => names.join(" "),
    }
}

/// What sorts `GLIBC_2.4` before `GLIBC_2.17`.
fn numbers(name: &str) -> (String, Vec<u64>) {
    let text = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = &name[text.len()..];
    (text.to_owned(), rest.split('.').filter_map(|number| number.parse().ok()).collect())
}

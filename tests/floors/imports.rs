//! Which files of a crate import which, read from `use` lines and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Which file of a crate imports which, by their paths in it without the ending.
#[derive(Debug, Default)]
pub struct Imports(pub BTreeMap<String, BTreeSet<String>>);

impl Imports {
    /// Files that reach one another, each circle once; sorted.
    pub fn circles(&self) -> Vec<Vec<String>> {
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
pub fn by_folder(imports: &Imports) -> Imports {
    let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let mut folders = Imports::default();
    for (from, to) in &imports.0 {
        let from = top(from);
        let others = to.iter().map(|to| top(to)).filter(|to| *to != from);
        folders.0.entry(from.clone()).or_default().extend(others);
    }
    folders
}

/// Of a crate, by where its sources are.
pub fn imports(src: &Path) -> Imports {
    imports_of(&sources(src, ""))
}

/// Of these sources.
pub fn imports_of(sources: &BTreeMap<String, String>) -> Imports {
    let mut imports = Imports::default();
    let word = Regex::new(r"\b(?:crate|super|self|[a-z_0-9]+)(?:::\w+)+").expect("a pattern");
    let uses = Regex::new(r"\buse\s+([^;]+);").expect("a pattern");
    let name = Regex::new(r"\w+").expect("a pattern");
    for (path, text) in sources {
        // What a face hands on, it does not use, unless it says the name once more.
        let handed_on: Vec<String> =
            HANDED_ON.captures_iter(text).flat_map(|found| paths_of(&found[1])).collect();
        let text = HANDED_ON.replace_all(text, "");
        let said: BTreeSet<&str> = name.find_iter(&text).map(|found| found.as_str()).collect();
        let is_said =
            |path: &String| path.rsplit("::").next().is_some_and(|name| said.contains(name));
        let mut paths: Vec<String> = handed_on.into_iter().filter(is_said).collect();
        paths.extend(uses.captures_iter(&text).flat_map(|found| paths_of(&found[1])));
        let rest = uses.replace_all(&text, "");
        paths.extend(word.find_iter(&rest).map(|found| found.as_str().to_owned()));
        let to = paths.iter().filter_map(|named| resolve(named, path, sources));
        imports.0.insert(path.clone(), to.filter(|to| to != path).collect());
    }
    imports
}

/// What a file hands on of others: `pub use`, whoever may see it.
static HANDED_ON: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bpub(?:\([^)]*\))?\s+use\s+([^;]+);").expect("a pattern"));

/// The sources below a directory, by their paths in it, without their comments and tests.
fn sources(dir: &Path, prefix: &str) -> BTreeMap<String, String> {
    let all = read_all(dir, prefix).into_iter();
    all.map(|(path, text)| (path, without_comments_and_tests(&text))).collect()
}

/// The same as they are.
pub fn read_all(dir: &Path, prefix: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries.map(|entry| entry.expect("a directory can be read")) {
        let name = entry.file_name().into_string().expect("our names are text");
        if entry.path().is_dir() {
            // Programs of their own.
            if !(prefix.is_empty() && name == "bin") {
                found.extend(read_all(&entry.path(), &format!("{prefix}{name}/")));
            }
        } else if let Some(stem) = name.strip_suffix(".rs") {
            let path = match stem {
                "mod" => prefix.trim_end_matches('/').to_owned(),
                // Roots import everything, and nothing them.
                "lib" | "main" if prefix.is_empty() => continue,
                stem => format!("{prefix}{stem}"),
            };
            let text = fs::read_to_string(entry.path()).expect("a source can be read");
            found.insert(path, text);
        }
    }
    found
}

fn without_comments_and_tests(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n");
    let tests = Regex::new(r"#\[cfg\(test\)\]\n(?:pub\S* )?mod \w+ \{").expect("a pattern");
    tests.find(&text).map_or(text.clone(), |tests| text[..tests.start()].to_owned())
}

/// The paths that a `use` names.
pub fn paths_of(text: &str) -> Vec<String> {
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

/// The file that a path leads to which stands in the file `from`: of what a face hands on, the file that defines it.
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
    while let Some(name) = names.peek() {
        let mut further = here.clone();
        further.push(name);
        if !sources.contains_key(&further.join("/")) {
            break;
        }
        here = further;
        names.next();
    }
    let path = here.join("/");
    let text = sources.get(&path)?;
    let handed_on = names.next().and_then(|name| {
        let mut all = HANDED_ON.captures_iter(text).flat_map(|found| paths_of(&found[1]));
        let handed_on = all.find(|handed_on| handed_on.rsplit("::").next() == Some(name))?;
        resolve(&handed_on, &path, sources)
    });
    Some(handed_on.unwrap_or(path))
}

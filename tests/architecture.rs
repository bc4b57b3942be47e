//! The sources held against the rules by which they are arranged.
//!
//! Each test collects every place that breaks a rule and says all of them at once, a line for each, with file and
//! line.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The only folders that know machines: one for their files and their code, and one for how they are emulated. But for
/// the starter's own (`starter/image/arch`, `starter/agent/arch`), whose code runs on them.
const MACHINES: [&str; 2] = ["crates/elf/src/machine", "crates/vm/src/machine"];

/// What only one machine has, or is called by.
const NAMES_OF_MACHINES: &str = concat!(
    r"(?i)x86|EM_386|R_386|\brip\b|\brsp\b|\br[abcd]x\b|\be[abcd]x\b|user_regs_struct|",
    r"arch_prctl|ARCH_SET_|haswell|\bi[36]86\b|set_thread_area|",
    r"aarch64|\barm64\b|EM_ARM|tpidr|\badrp\b",
);

/// Where such a name stands all the same: file, what is in the line, and why.
const ALLOWED: [(&str, &str, &str); 2] = [
    (
        "elfscan/src/sbom/any_bytes.rs",
        "A:x86_64",
        "an example of a list of packages, whatever the machine",
    ),
    (
        "crates/room/src/sandbox/system_calls.rs",
        "numbers::SYS_arch_prctl",
        "in a list of all system calls, by libc's names for the machine that this is compiled for",
    ),
];

#[test]
fn machines_are_named_in_their_folder_only() {
    let names = Regex::new(NAMES_OF_MACHINES).expect("the pattern is constant and valid");
    let mut found = Vec::new();
    let mut unused: Vec<_> = ALLOWED.to_vec();
    for path in sources() {
        if MACHINES.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let text = fs::read_to_string(top().join(&path)).expect("a source can be read");
        let code = without_tests(&without_comments(&text));
        for (index, line) in code.lines().enumerate().filter(|(_, line)| names.is_match(line)) {
            let is_meant = |&(file, part, _): &(&str, &str, &str)| {
                path == Path::new(file) && line.contains(part)
            };
            if ALLOWED.iter().any(is_meant) {
                unused.retain(|allowed| !is_meant(allowed));
            } else {
                found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    found.extend(
        unused
            .iter()
            .map(|(file, part, _)| format!("{file}: nothing has {part:?}: not to be allowed")),
    );
    assert!(
        found.is_empty(),
        "what knows a machine belongs into {} behind `Machine`, or into {} behind `Kind`:\n{}",
        MACHINES[0],
        MACHINES[1],
        found.join("\n")
    );
}

/// The repository.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in a folder of the repository")
}

/// The sources of the tools and of their libraries, from the repository's top; ascending. Files that are tests as a
/// whole are left out.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["statify", "elfscan", "rootfs-tools"].map(PathBuf::from).into();
    folders.extend(entries(Path::new("crates")));
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| folder.join("src")).collect();
    let mut sources = Vec::new();
    while let Some(path) = left.pop() {
        if top().join(&path).is_dir() {
            left.extend(entries(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            sources.push(path);
        }
    }
    sources.sort();
    assert!(sources.len() > 200, "these are not all sources: {}", sources.len());
    sources
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join(folder)).expect("a folder can be read");
    entries.map(|entry| folder.join(entry.expect("an entry can be read").file_name())).collect()
}

/// The same lines without what is in comments, and without bytes in strings that are written as numbers.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (len, is_kept) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => {
                (rest.find("*/").map_or(rest.len(), |at| at + 2), false)
            }
            '"' => (string(rest), true),
            'r' if is_raw(rest) && !code.ends_with(|c: char| c.is_alphanumeric() && c != 'b') => {
                (raw_string(rest), true)
            }
            // Not a lifetime.
            '\'' if rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'') => {
                (character(rest), true)
            }
            _ => (first.len_utf8(), true),
        };
        let (part, behind) = rest.split_at(len);
        if is_kept {
            code.push_str(&part.replace("\\x", "  "));
        } else {
            code.extend(part.chars().filter(|&c| c == '\n'));
        }
        rest = behind;
    }
    code
}

/// The length of the string that a text begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_raw(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

/// The length of the raw string that a text begins with.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let (start, end) = (hashes + 2, format!("\"{}", "#".repeat(hashes)));
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

/// The length of the character that a text begins with.
fn character(text: &str) -> usize {
    let first = if text.starts_with("'\\") { 3 } else { 2 };
    let behind = text.char_indices().nth(first).map_or(text.len(), |(at, _)| at);
    text[behind..].find('\'').map_or(text.len(), |at| behind + at + 1)
}

/// The same lines, empty from each `#[cfg(test)]` to the end of the module that it is for.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut end: Option<&str> = None;
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_module = lines
            .peek()
            .is_some_and(|next| next.trim_start().starts_with("mod ") && next.ends_with('{'));
        if line.trim() == "#[cfg(test)]" && is_module && end.is_none() {
            end = Some(indent);
        } else if end.is_none() {
            kept.push_str(line);
        } else if line.trim() == "}" && end == Some(indent) {
            end = None;
        }
        kept.push('\n');
    }
    kept
}

#[test]
fn comments_and_tests_are_no_code() {
    let text = "a(\"// no\", '\"', b\"\\x86\"); // x86\nlet r = r#\"/* \" */\"#; /* rip\n*/ b<'a>('\\'');\n\
                #[cfg(test)]\nmod tests {\n    x86\n}\nc\n";
    let code = without_comments(text);
    assert_eq!(code.lines().count(), text.lines().count());
    assert_eq!(
        without_tests(&code),
        "a(\"// no\", '\"', b\"  86\"); \nlet r = r#\"/* \" */\"#; \n b<'a>('\\'');\n\n\n\n\nc\n"
    );
}

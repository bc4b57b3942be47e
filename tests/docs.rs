//! The documentation held against the tree: sizes, links, paths, pages, and the options that it mentions.
//!
//! Each test collects everything that is wrong and says all of it at once, a line for each, with file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use statify_tests::tool;

/// README.md is for readers who have one minute; this many bytes are what they read.
const README_BYTES: usize = 8000;

/// The files at the top that are held against the tree, besides the pages of the book.
const AT_THE_TOP: [&str; 4] = ["README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// Where the pages of the book are.
const BOOK: &str = "docs/src";

/// The list of the book's pages.
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// What a path into this repository begins with, where it stands between backticks.
const DIRECTORIES: [&str; 13] = [
    "statify/",
    "starter/",
    "elfscan/",
    "rootfs-tools/",
    "chunkstore/",
    "pagescan/",
    "tests/",
    "fixtures/",
    "crates/",
    "bench/",
    "fuzz/",
    "xtask/",
    ".ci/",
];

/// The commands whose options are held against their help.
const TOOLS: [&str; 5] = ["statify", "elfscan", "rootfs-tools", "chunkstore", "pagescan"];

/// A Markdown file.
struct Page {
    /// Its path from the repository's top.
    name: String,
    /// Its text.
    text: String,
}

/// A line of a page, with what kind of line it is.
struct Line<'a> {
    /// From 1.
    number: usize,
    text: &'a str,
    /// It stands in a block of code, between fences.
    is_code: bool,
}

impl Page {
    fn read(name: &str) -> Page {
        let text = fs::read_to_string(top().join(name));
        Page { name: name.into(), text: text.unwrap_or_else(|error| panic!("{name}: {error}")) }
    }

    /// All lines but the fences.
    fn lines(&self) -> Vec<Line<'_>> {
        let mut is_code = false;
        let mut lines = Vec::new();
        for (index, text) in self.text.lines().enumerate() {
            if text.trim_start().starts_with("```") {
                is_code = !is_code;
            } else {
                lines.push(Line { number: index + 1, text, is_code });
            }
        }
        lines
    }

    /// What stands between single backticks, outside of blocks of code, with the line's number. A span never
    /// goes over the end of a line here: `unclosed_spans` sees to that.
    fn spans(&self) -> Vec<(usize, &str)> {
        let lines = self.lines().into_iter().filter(|line| !line.is_code);
        let spans = lines.flat_map(|line| {
            let parts = line.text.split('`').skip(1).step_by(2);
            parts.map(move |span| (line.number, span))
        });
        spans.collect()
    }

    /// The anchors of its headings, as the book and code hosts make them.
    fn anchors(&self) -> BTreeSet<String> {
        let lines = self.lines().into_iter().filter(|line| !line.is_code);
        lines.filter_map(|line| heading(line.text)).map(anchor).collect()
    }

    /// Where a miss is, for a message.
    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }
}

/// The text of a heading; `None` if the line is none.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    if (1..=6).contains(&level) { text.strip_prefix(' ') } else { None }
}

/// In lower case, blanks as hyphens, without what is neither letter, digit, hyphen nor underscore.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ if letter.is_alphanumeric() => Some(letter),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// The repository's top.
fn top() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests' package lies in the repository").to_owned()
}

/// The pages of the book, as paths from the repository's top.
fn pages_of_the_book() -> BTreeSet<String> {
    let mut pages = BTreeSet::new();
    let mut left = vec![BOOK.to_owned()];
    while let Some(dir) = left.pop() {
        let entries =
            fs::read_dir(top().join(&dir)).unwrap_or_else(|error| panic!("{dir}: {error}"));
        for entry in entries {
            let entry = entry.expect("a directory can be read to its end");
            let name = format!("{dir}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                left.push(name);
            } else if name.ends_with(".md") {
                pages.insert(name);
            }
        }
    }
    pages
}

/// Everything that is held against the tree.
fn all_pages() -> Vec<Page> {
    let book = pages_of_the_book();
    let names = AT_THE_TOP.into_iter().map(String::from).chain(book);
    names.map(|name| Page::read(&name)).collect()
}

/// Fails with all misses, if there are any.
fn expect_none(misses: &[String]) {
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}

/// The targets of the links in a line, without those to other hosts. What stands between backticks is no link.
fn links(line: &str) -> Vec<String> {
    let without_code: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let link = Regex::new(r"\]\(([^()\s]+)\)").expect("this is a pattern");
    let targets = link.captures_iter(&without_code).map(|found| found[1].to_owned());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// A path without `.` and `..`; a link in a page counts from the page's directory.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn the_readme_is_short() {
    let bytes = Page::read("README.md").text.len();
    assert!(bytes <= README_BYTES, "README.md has {bytes} bytes, {README_BYTES} are the most");
}

#[test]
fn spans_of_code_are_closed_in_their_line() {
    let mut misses = Vec::new();
    for page in all_pages() {
        for line in page.lines().iter().filter(|line| !line.is_code) {
            if line.text.matches('`').count() % 2 != 0 {
                misses.push(format!("{}: a backtick is alone", page.at(line.number)));
            }
        }
    }
    expect_none(&misses);
}

#[test]
fn links_lead_to_files_and_headings() {
    let pages = all_pages();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|page| (page.name.as_str(), page.anchors())).collect();
    let mut misses = Vec::new();
    for page in &pages {
        for line in page.lines().iter().filter(|line| !line.is_code) {
            for target in links(line.text) {
                let (path, anchor) = match target.split_once('#') {
                    Some((path, anchor)) => (path, Some(anchor)),
                    None => (target.as_str(), None),
                };
                let file =
                    if path.is_empty() { page.name.clone() } else { resolve(&page.name, path) };
                if !top().join(&file).exists() {
                    misses.push(format!("{}: {target}: there is no {file}", page.at(line.number)));
                } else if let Some(anchor) = anchor {
                    // Of other files than these no headings are known.
                    if !anchors.get(file.as_str()).is_some_and(|known| known.contains(anchor)) {
                        let at = page.at(line.number);
                        misses.push(format!("{at}: {target}: {file} has no such heading"));
                    }
                }
            }
        }
    }
    expect_none(&misses);
}

#[test]
fn paths_between_backticks_exist() {
    let mut misses = Vec::new();
    for page in all_pages() {
        for (line, span) in page.spans() {
            // Behind a path there may be arguments, or the name of something in the file.
            let word = span.split_whitespace().next().unwrap_or_default();
            let path = word.split("::").next().unwrap_or_default();
            let is_path = DIRECTORIES.iter().any(|directory| path.starts_with(directory));
            if is_path && !top().join(path).exists() {
                misses.push(format!("{}: there is no {path}", page.at(line)));
            }
        }
    }
    expect_none(&misses);
}

#[test]
fn the_summary_has_every_page() {
    let summary = Page::read(SUMMARY);
    let listed: BTreeSet<String> = summary
        .lines()
        .iter()
        .flat_map(|line| links(line.text))
        .map(|target| resolve(SUMMARY, &target))
        .collect();
    let mut there = pages_of_the_book();
    there.remove(SUMMARY);
    let not_listed = there.difference(&listed).map(|page| format!("{page} is not in {SUMMARY}"));
    let not_there = listed.difference(&there).map(|page| format!("{SUMMARY}: there is no {page}"));
    expect_none(&not_listed.chain(not_there).collect::<Vec<_>>());
}

/// The long options of a tool, for each of its verbs; under the empty name those of the tool itself and of all
/// verbs together.
struct Options(BTreeMap<String, BTreeSet<String>>);

impl Options {
    /// What the tool's help says.
    fn of(tool: &str) -> Options {
        let path = tool::locate(tool).unwrap_or_else(|error| panic!("{tool}: {error:#}"));
        let help = |arguments: &[&str]| {
            let output = Command::new(&path).args(arguments).arg("--help").output();
            let output = output.unwrap_or_else(|error| panic!("{tool}: {error}"));
            assert!(output.status.success(), "{tool} {arguments:?} --help: {}", output.status);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let general = help(&[]);
        let mut all = long_options(&general);
        let mut verbs = BTreeMap::new();
        for verb in verbs_in(&general) {
            let options = long_options(&help(&[&verb]));
            all.extend(options.iter().cloned());
            verbs.insert(verb, options);
        }
        verbs.insert(String::new(), all);
        Options(verbs)
    }

    /// Those of a verb; of the whole tool where the word is no verb.
    fn of_verb(&self, word: &str) -> &BTreeSet<String> {
        self.0.get(word).unwrap_or(&self.0[""])
    }
}

/// The verbs that a help lists: the first words of the indented lines below `Commands:`.
fn verbs_in(help: &str) -> Vec<String> {
    let below = help.lines().skip_while(|line| line.trim_end() != "Commands:").skip(1);
    let listed = below.take_while(|line| line.starts_with(' '));
    // Lines that go on begin further to the right.
    let verbs = listed.filter(|line| !line.starts_with("   "));
    let names = verbs.filter_map(|line| line.split_whitespace().next().map(String::from));
    names.filter(|name| name != "help").collect()
}

/// All `--words` in a text.
fn long_options(text: &str) -> BTreeSet<String> {
    let option = Regex::new(r"(?:^|[^\w-])(--[a-z][a-z0-9-]*)").expect("this is a pattern");
    option.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The commands in a line of a console: without prompt, comment and arguments of other programs (behind `--`),
/// one for each part of a pipe or list.
fn commands(line: &str) -> Vec<&str> {
    let Some(line) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) else {
        return Vec::new();
    };
    let line = line.split(" #").next().unwrap_or_default();
    let ends = Regex::new(r"\|\|?|&&|;|\$\(").expect("this is a pattern");
    ends.split(line).map(own_part).collect()
}

/// What of a command is its own: nothing that follows `--`.
fn own_part(command: &str) -> &str {
    command.split(" -- ").next().unwrap_or_default().trim()
}

#[test]
fn options_exist() {
    let tools: BTreeMap<&str, Options> =
        TOOLS.into_iter().map(|tool| (tool, Options::of(tool))).collect();
    let any: BTreeSet<&String> = tools.values().flat_map(|options| options.of_verb("")).collect();
    let mut misses = Vec::new();
    for page in all_pages() {
        let in_blocks: Vec<(usize, &str)> = page
            .lines()
            .iter()
            .filter(|line| line.is_code)
            .flat_map(|line| commands(line.text).into_iter().map(move |text| (line.number, text)))
            .collect();
        for (line, command) in page.spans().into_iter().chain(in_blocks) {
            let command = own_part(command);
            let mut words = command.split_whitespace();
            let first = words.next().unwrap_or_default();
            let second = words.next().unwrap_or_default();
            // An option that stands alone is one of ours: others are written with their command.
            if first.starts_with("--") {
                for option in long_options(command).iter().filter(|option| !any.contains(option)) {
                    let at = page.at(line);
                    misses
                        .push(format!("{at}: no tool has {option}; if it is another's, name that"));
                }
            } else if let Some(options) = tools.get(first.rsplit('/').next().unwrap_or_default()) {
                let known = options.of_verb(second);
                for option in long_options(command).difference(known) {
                    misses.push(format!("{}: {command}: there is no {option}", page.at(line)));
                }
            }
        }
    }
    expect_none(&misses);
}

#[test]
fn what_a_help_says() {
    let help = "Usage: x [OPTIONS]\n\nCommands:\n  scan    Kind\n  deps    The tree\n          \
                that ld.so\n  help    Print\n\nOptions:\n      --only <WHAT>  Not-an --option\n";
    assert_eq!(verbs_in(help), ["scan", "deps"]);
    let options: Vec<String> = long_options(help).into_iter().collect();
    assert_eq!(options, ["--only", "--option"]);
}

#[test]
fn what_a_line_says() {
    assert_eq!(anchor("Two commands"), "two-commands");
    assert_eq!(anchor("`elfscan scan`: what, and where"), "elfscan-scan-what-and-where");
    assert_eq!(
        links("[a](b.md) `[c](d.md)` [e `f`](../g.md#h) [i](https://j)"),
        ["b.md", "../g.md#h"]
    );
    assert_eq!(resolve("docs/src/guide/a.md", "../b.md"), "docs/src/b.md");
    assert_eq!(commands("$ a --b -- --c | d --e  # --f"), ["a --b", "d --e"]);
    assert!(commands("output --of something").is_empty());
}

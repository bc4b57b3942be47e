//! The tree: each module with what it asks for where it was loaded first.

use std::fmt::Write;

use elfscan::deps::{self, By, Closure, Outcome, Request, Tie};

use super::text::{self, printable};

/// A line that is to be aligned with its neighbours.
struct Line {
    left: String,
    right: String,
}

/// No column begins further right.
const WIDEST: usize = 72;

/// Draws a tree; `all` names every version.
pub fn draw(closure: &Closure, all: bool) -> String {
    let mut drawing = Drawing { closure, ties: deps::ties(closure), all, lines: Vec::new() };
    let left = printable(&closure.modules[0].path);
    let loader = printable(closure.interpreter.loader.path.as_os_str().as_encoded_bytes());
    let right = if closure.secure {
        format!("by {loader}, with privileges")
    } else {
        format!("by {loader}")
    };
    drawing.lines.push(Line { left, right });
    // An own stack: chains of libraries may be as long as somebody likes.
    let mut open = vec![(0, 0, String::new())];
    while let Some((module, next, indent)) = open.pop() {
        let requests = closure.requests_of(module);
        let Some(request) = requests.get(next) else { continue };
        let is_last = next + 1 == requests.len();
        drawing.line(&indent, is_last, request);
        let below = if is_last { "   " } else { "│  " };
        open.push((module, next + 1, indent.clone()));
        if let Outcome::Loaded(index) = request.outcome {
            open.push((index, 0, format!("{indent}{below}")));
        }
    }
    let widths = drawing.lines.iter().map(|line| line.left.chars().count());
    let width = widths.filter(|&width| width <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    for Line { left, right } in drawing.lines {
        let line = format!("{left:width$}  {right}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

struct Drawing<'a> {
    closure: &'a Closure,
    ties: Vec<Tie>,
    all: bool,
    lines: Vec<Line>,
}

impl Drawing<'_> {
    fn line(&mut self, indent: &str, is_last: bool, request: &Request) {
        let branch = if is_last { "└─ " } else { "├─ " };
        let name = printable(&request.name);
        let mut left = format!("{indent}{branch}{name}");
        let mut right: Vec<String> =
            text::kind(request.kind).into_iter().map(String::from).collect();
        match &request.outcome {
            Outcome::Loaded(index) => {
                let module = &self.closure.modules[*index];
                if *module.path != *request.name {
                    let _ = write!(left, " => {}", printable(&module.path));
                }
                right.push(text::rule(self.closure, module));
            }
            Outcome::Known(_, By::Name) => right.push("(loaded)".into()),
            Outcome::Known(index, By::Inode) => {
                let path = printable(&self.closure.modules[*index].path);
                right.push(format!("(loaded, the same file as {path})"));
            }
            Outcome::Missing { .. } => left.push_str(" => not found"),
            Outcome::Refused { path, why } => {
                let _ = write!(left, " => {}", printable(path));
                right.push(format!("refused: {}", text::reason(why)));
            }
        }
        if let Some(of) = request.outcome.module() {
            let tie = self.ties.iter().find(|tie| tie.by == request.by && tie.of == of);
            if let Some(tie) = tie {
                right.push(text::versions(&tie.wanted, self.all));
                if !tie.missing.is_empty() {
                    right.push(format!("not there: {}", text::versions(&tie.missing, true)));
                }
            }
        }
        self.lines.push(Line { left, right: right.join("  ") });
    }
}

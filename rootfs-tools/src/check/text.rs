//! What a check found, for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use statify_files::path_text;
use statify_printable::printable;

use super::report::{Answer, Checked, Judgement, Report};
use crate::report::text::grid;

/// The whole check, in lines.
pub fn text(report: &Report) -> String {
    let counts = &report.counts;
    let mut text = String::new();
    let root = path_text::to_text(&report.root);
    let _ = writeln!(
        text,
        "{root}: {} programs: {} intact, {} damaged",
        counts.programs, counts.intact, counts.damaged
    );
    if counts.compared > 0 {
        let _ = writeln!(
            text,
            "{} run beside their originals: {} answers agree, {} vary by themselves, {} differ; {} calls are not answered",
            counts.compared, counts.agree, counts.vary, counts.differ, counts.unanswered
        );
    }
    not_compared(&mut text, report);
    let damaged = rows(report, |program| {
        let problems = program.problems.iter();
        problems.map(|problem| [String::new(), printable(problem)]).collect()
    });
    table(&mut text, "Damaged", ["program", "", "what"], damaged);
    let head = ["program", "called with", "original (-), converted (+)"];
    table(&mut text, "Different", head, rows(report, differences));
    let head = ["program", "called with", "for example"];
    table(&mut text, "Varying by themselves", head, rows(report, varying));
    let head = ["program", "called with", "the original"];
    table(&mut text, "Not answered", head, rows(report, unanswered));
    text
}

/// Why programs were not compared, most often the same for all.
fn not_compared(text: &mut String, report: &Report) {
    let mut reasons: BTreeMap<&str, Vec<&Checked>> = BTreeMap::new();
    for program in &report.programs {
        if let Some(why) = &program.not_compared {
            reasons.entry(why).or_default().push(program);
        }
    }
    for (why, programs) in reasons {
        let _ = write!(text, "{} not run, only checked: {}", programs.len(), printable(why));
        let _ = match programs[..] {
            [one] => writeln!(text, " ({})", printable(&one.names[0])),
            _ => writeln!(text),
        };
    }
}

/// A row for each thing to be said of a program, which is named in the first.
fn rows(report: &Report, things: impl Fn(&Checked) -> Vec<[String; 2]>) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    for program in &report.programs {
        for (index, [a, b]) in things(program).into_iter().enumerate() {
            let name = if index == 0 { printable(&program.names.join(" ")) } else { String::new() };
            rows.push([name, a, b]);
        }
    }
    rows
}

fn table(text: &mut String, title: &str, head: [&str; 3], rows: Vec<[String; 3]>) {
    if rows.is_empty() {
        return;
    }
    let mut grid = grid(head);
    for column in grid.column_iter_mut() {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    grid.add_rows(rows);
    let _ = writeln!(text, "\n{title}\n{grid}");
}

fn of(program: &Checked, judgement: Judgement) -> impl Iterator<Item = &Answer> {
    program.answers.iter().filter(move |answer| answer.judgement == judgement)
}

/// In lines, each printable.
fn lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

fn differences(program: &Checked) -> Vec<[String; 2]> {
    let differences = of(program, Judgement::Differs).map(|answer| {
        [answer.argument.into(), lines(answer.difference.as_deref().unwrap_or_default())]
    });
    let mut rows: Vec<_> = differences.collect();
    if !program.changed_libraries.is_empty() {
        let libraries = printable(&program.changed_libraries.join(", "));
        rows.push([String::new(), format!("changed since the conversion: {libraries}")]);
    }
    rows
}

fn varying(program: &Checked) -> Vec<[String; 2]> {
    let what = |answer: &Answer| match &answer.difference {
        Some(what) => lines(what),
        None => "equal but for numbers, times, addresses and order".into(),
    };
    of(program, Judgement::Varies).map(|a| [a.argument.into(), what(a)]).collect()
}

fn unanswered(program: &Checked) -> Vec<[String; 2]> {
    of(program, Judgement::NoAnswer)
        .map(|answer| [answer.argument.into(), printable(&answer.end.to_string())])
        .collect()
}

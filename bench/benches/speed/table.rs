//! The results as tables, for a terminal or as Markdown.

use comfy_table::Table;
use statify_bench::style::Style;

use crate::goals::Goal;
use crate::results::Results;
use crate::rows::{Column, Row};

/// Prints all tables to standard output.
pub fn print(results: &Results, style: Style) {
    let machine = &results.machine;
    println!(
        "{}: {}, {} cores, Linux {}, {}.",
        machine.date, machine.cpu, machine.cores, machine.kernel, machine.glibc
    );
    let runs = results.rows.iter().flat_map(|row| row.times.values()).map(|times| times.runs);
    println!(
        "Exec to exit in milliseconds, median (minimum); warm cache, output to /dev/null, candidates of a row in turn, {} runs each, {}.\n",
        range(runs),
        if results.pinned { "parent and child on one CPU" } else { "not pinned" }
    );
    if machine.load > 1.0 {
        println!(
            "The machine was not idle (load average {:.1}): the medians are too high, and their ratios uncertain.\n",
            machine.load
        );
    }
    println!("{}\n", times(&results.rows, style));
    if results.rows.iter().any(|row| row.conversion.is_some()) {
        println!("{}\n", conversions(&results.rows, style));
    }
    println!("{}", goals(&results.goals, style));
    for row in &results.rows {
        for note in &row.notes {
            println!("\n{}: {note}", row.name);
        }
    }
}

/// "500", or "20 to 500" where they differ.
fn range(values: impl Iterator<Item = usize> + Clone) -> String {
    let (least, most) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
    if least == most { most.to_string() } else { format!("{least} to {most}") }
}

fn times(rows: &[Row], style: Style) -> Table {
    let headings = Column::ALL.iter().map(|column| column.heading().to_owned());
    let mut header = vec![String::new()];
    header.extend(headings);
    header.push("converted / original".into());
    let mut table = style.table(header);
    for row in rows {
        let mut cells = vec![row.name.clone()];
        cells.extend(Column::ALL.iter().map(|column| match row.times.get(column) {
            Some(times) => format!("{} ({})", milliseconds(times.median), milliseconds(times.min)),
            None => String::new(),
        }));
        cells.push(match row.ratio(Column::Converted, Column::Original) {
            Some(ratio) => format!("{ratio:.2}"),
            None if row.program.is_none() => "not installed".into(),
            None => String::new(),
        });
        table.add_row(cells);
    }
    table
}

fn milliseconds(microseconds: f64) -> String {
    let value = microseconds / 1000.0;
    let places = if value < 1.0 {
        3
    } else if value < 10.0 {
        2
    } else {
        1
    };
    format!("{value:.places$}")
}

fn conversions(rows: &[Row], style: Style) -> Table {
    let header = [
        "conversion",
        "CPU time, ms",
        "peak memory, MiB",
        "output, MiB",
        "loadable pages, MiB",
        "output / loadable",
    ];
    let mut table = style.table(header.map(String::from).to_vec());
    let mebibytes = |bytes: u64| format!("{:.2}", bytes as f64 / f64::from(1 << 20));
    for row in rows {
        let Some(cost) = row.conversion else { continue };
        table.add_row([
            row.subject.clone(),
            format!("{:.1}", cost.cpu_ms),
            mebibytes(cost.peak_rss),
            mebibytes(cost.output),
            mebibytes(cost.loadable),
            format!("{:.3}", cost.output as f64 / cost.loadable as f64),
        ]);
    }
    table
}

fn goals(goals: &[Goal], style: Style) -> Table {
    let mut table = style.table(["goal", "at most", "measured", ""].map(String::from).to_vec());
    for goal in goals {
        let (suffix, places) =
            if goal.unit.is_empty() { ("x".to_owned(), 3) } else { (format!(" {}", goal.unit), 1) };
        let value = goal.value.map(|value| format!("{value:.places$}{suffix}"));
        let verdict = match goal.reached() {
            Some(true) => "reached",
            Some(false) => "not reached",
            None => "not measured",
        };
        table.add_row([
            goal.name.clone(),
            format!("{}{suffix}", goal.limit),
            value.unwrap_or_default(),
            verdict.into(),
        ]);
    }
    table
}

//! The report for a terminal.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table as Grid, presets};
use statify_printable::amount::thousands;
use statify_printable::printable;

use super::contents::{Pool, Report};
use super::figures::{Growth, Named, Table};
use super::measured::ChunkTable;
use super::statics::{self, Pair, Sizes};

/// Libraries that are listed.
const LIBRARIES: usize = 20;

/// The whole report, in lines.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", statify_files::path_text::to_text(&report.root));
    let _ = writeln!(text, "Programs (bytes)\n{}\n", table_1(&report.table));
    let _ = writeln!(text, "Whole image\n{}\n", image(report));
    if report.directories.len() > 1 {
        let _ = writeln!(text, "By directory (bytes)\n{}\n", directories(report));
    }
    if !report.programs.is_empty() {
        let _ = writeln!(text, "Growth\n{}\n", distribution(report));
        let _ = writeln!(text, "Libraries by bytes embedded\n{}\n", libraries(report));
    }
    for (cut, table) in
        [("cut per file", &report.chunks), ("over an ext4 image", &report.image_chunks)]
    {
        if let Some(table) = table {
            let _ = writeln!(text, "Unique chunks, {cut}\n{}\n", chunks(table));
        }
    }
    if let Some(table) = &report.statics {
        let _ = writeln!(
            text,
            "Programs that are also linked statically (bytes)\n{}\n",
            table_2(table)
        );
    }
    if let Some(sentence) = &report.originals_missing {
        let sentence = printable(sentence);
        let _ = writeln!(text, "Nothing is known of the original files: {sentence}\n");
    }
    let _ = writeln!(text, "Not converted\n{}", failures(report));
    let left = report.left.iter().map(|(kind, count)| format!("{count} {}", printable(kind)));
    let left: Vec<_> = left.collect();
    if !report.foreign.is_empty() {
        let _ = writeln!(text, "\nFor other machines");
        for program in &report.foreign {
            let _ = writeln!(text, "  {}", printable(&program.message));
        }
    }
    if !left.is_empty() {
        let _ = writeln!(text, "\nOther files: {}", left.join(", "));
    }
    text
}

/// Text to the left in the first column, numbers to the right in the others.
pub(crate) fn grid<const N: usize>(head: [&str; N]) -> Grid {
    let mut grid = Grid::new();
    grid.load_preset(presets::NOTHING).set_header(head);
    for column in grid.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

fn times(times: f64) -> String {
    format!("{times:.2}x")
}

fn row(name: &str, growth: &Growth) -> [String; 4] {
    let Growth { original, converted, .. } = *growth;
    [printable(name), thousands(original), thousands(converted), times(growth.times)]
}

fn table_1(table: &Table) -> Grid {
    let mut grid = grid(["", "original", "converted", "increase"]);
    grid.add_row(row(&format!("total of {}", table.programs), &table.total));
    grid.add_row(row("average", &table.average));
    for (what, named) in [("maximum", &table.largest), ("minimum", &table.smallest)] {
        if let Some(Named { name, growth }) = named {
            grid.add_row(row(&format!("{what}: {name}"), growth));
        }
    }
    grid
}

/// What a run would make of programs and image ([`crate::run::estimate`]).
pub(crate) fn estimated(table: &Table, pool: Option<&Pool>, image: &Growth) -> Grid {
    let mut grid = table_1(table);
    if let Some(pool) = pool {
        grid.add_row(pool_row(pool));
    }
    grid.add_row(row("whole image", image));
    grid
}

fn pool_row(pool: &Pool) -> [String; 4] {
    let name = format!("pool of {} libraries", pool.files);
    [name, "-".into(), thousands(pool.size), "-".into()]
}

fn image(report: &Report) -> Grid {
    let image = &report.image;
    let mut grid = grid(["", "original", "converted", "increase"]);
    let (before, after) = (&image.original, &image.converted);
    for (name, before, after) in [
        ("apparent size", before.apparent, after.apparent),
        ("blocks on this file system", before.allocated, after.allocated),
    ] {
        grid.add_row(row(name, &Growth::new(before, after)));
    }
    if let Some(pool) = &report.pool {
        grid.add_row(pool_row(pool));
    }
    let physical = &image.physical;
    if let Some(converted) = physical.converted {
        grid.add_row([
            "what is shared counted once".into(),
            maybe(physical.original),
            thousands(converted),
            maybe_times(physical.times),
        ]);
    }
    grid
}

/// A number, or a dash where it is not known.
fn maybe(number: Option<u64>) -> String {
    number.map_or("-".into(), thousands)
}

fn maybe_times(number: Option<f64>) -> String {
    number.map_or("-".into(), times)
}

fn chunks(table: &ChunkTable) -> Grid {
    let mut grid = grid([
        "chunk size",
        "original",
        "converted",
        "increase",
        "original bytes",
        "converted bytes",
        "increase",
    ]);
    for row in &table.sizes {
        grid.add_row([
            format!("{} KiB", row.size >> 10),
            maybe(row.original.map(|unique| unique.unique_chunks)),
            thousands(row.converted.unique_chunks),
            maybe_times(row.chunk_times),
            maybe(row.original.map(|unique| unique.unique_bytes)),
            thousands(row.converted.unique_bytes),
            maybe_times(row.byte_times),
        ]);
    }
    if table.unread > 0 {
        grid.add_row([format!("without {} files that cannot be read", table.unread)]);
    }
    grid
}

fn table_2(table: &statics::Table) -> Grid {
    let mut grid = grid(["", "dynamic", "static", "", "converted", "", "of static"]);
    let mut add = |name: String, sizes: &Sizes| {
        grid.add_row([
            printable(&name),
            thousands(sizes.dynamic),
            thousands(sizes.linked),
            times(sizes.static_times),
            thousands(sizes.converted),
            times(sizes.converted_times),
            times(sizes.converted_over_static),
        ]);
    };
    for Pair { name, sizes, .. } in &table.programs {
        add(name.clone(), sizes);
    }
    add(format!("total of {}", table.programs.len()), &table.total);
    add("average".into(), &table.average);
    for (what, pair) in [("maximum", &table.largest), ("minimum", &table.smallest)] {
        if let Some(Pair { name, sizes, .. }) = pair {
            add(format!("{what}: {name}"), sizes);
        }
    }
    grid
}

fn directories(report: &Report) -> Grid {
    let mut grid = grid(["", "programs", "original", "converted", "increase"]);
    for (path, table) in &report.directories {
        let [name, original, converted, increase] = row(path, &table.total);
        grid.add_row([name, table.programs.to_string(), original, converted, increase]);
    }
    grid
}

fn distribution(report: &Report) -> Grid {
    let mut grid = grid(["increase", "programs"]);
    for class in &report.distribution {
        let name = match (class.from, class.below) {
            (1, Some(below)) => format!("below {below}x"),
            (from, Some(below)) => format!("{from}x to {below}x"),
            (from, None) => format!("{from}x and more"),
        };
        grid.add_row([name, class.programs.to_string()]);
    }
    grid
}

fn libraries(report: &Report) -> Grid {
    let mut grid = grid(["", "programs", "bytes"]);
    for library in report.libraries.iter().take(LIBRARIES) {
        let path = printable(&library.path);
        grid.add_row([path, library.programs.to_string(), thousands(library.embedded)]);
    }
    if let Some(rest) = report.libraries.get(LIBRARIES..).filter(|rest| !rest.is_empty()) {
        let sum = rest.iter().map(|library| library.embedded).fold(0, u64::saturating_add);
        grid.add_row([format!("{} others", rest.len()), String::new(), thousands(sum)]);
    }
    grid
}

fn failures(report: &Report) -> String {
    if report.failures.is_empty() {
        return "  none".into();
    }
    let mut text = String::new();
    for (reason, count) in &report.failure_reasons {
        let _ = writeln!(text, "  {count} {}", printable(reason));
        for failure in report.failures.iter().filter(|failure| failure.reason == *reason) {
            let _ = writeln!(text, "    {}", printable(&failure.message));
        }
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use statify_printable::is_shown;

    use super::super::measured::Measured;
    use super::*;
    use crate::journal::record::Size;
    use crate::report::contents::{Failure, Library};
    use crate::report::csv;

    /// A journal may say anything.
    #[test]
    fn nothing_gives_orders_to_a_terminal_or_spreadsheet() {
        let mut report = super::super::of("/r".into(), &[], Size::default(), Measured::default());
        let name = "=a\x1b[31m\u{9b}\u{202e}\u{2066}\u{200b}\u{2028}\r\nline";
        report.failures.push(Failure {
            names: vec![name.into()],
            reason: name.into(),
            message: name.into(),
        });
        report.failure_reasons.insert(name.into(), 1);
        report.left.insert(name.into(), 1);
        report.originals_missing = Some(name.into());
        report.libraries.push(Library {
            path: name.into(),
            programs: 1,
            embedded: 1,
            percent: 100.0,
        });
        let text = text(&report);
        assert!(text.chars().all(|letter| letter == '\n' || is_shown(letter)), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("line")), "{text}");
        for (table, _) in csv::Table::ALL {
            let text = csv::csv(&report, table);
            assert!(text.chars().all(|letter| letter == '\n' || is_shown(letter)), "{text:?}");
            assert!(!text.contains("\n=") && !text.contains(",="), "{text}");
        }
        let failures = csv::csv(&report, csv::Table::Failures);
        assert!(failures.contains("\n'=a\\u{1b}[31m"), "{failures}");
    }
}

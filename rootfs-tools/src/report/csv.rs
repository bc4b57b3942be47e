//! The report's tables as comma-separated values (RFC 4180): each is one of its own, so that a file has
//! the same columns in all its lines.

use super::contents::Report;
use super::figures::Growth;
use super::measured::ChunkTable;
use super::rows::{Rows, head, text};
use super::statics::Sizes;

/// A table of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A line for each file, the failures among them.
    Programs,
    /// Table 1, and the whole tree.
    Summary,
    /// By directory.
    Directories,
    /// What is embedded.
    Libraries,
    /// How many programs grew how much.
    Distribution,
    /// Failures by reason.
    Failures,
    /// Unique chunks, as far as they were counted.
    Chunks,
    /// Table 2, if there is one.
    Statics,
}

impl Table {
    /// All of them, each with its name.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Programs, "programs"),
        (Self::Summary, "summary"),
        (Self::Directories, "directories"),
        (Self::Libraries, "libraries"),
        (Self::Distribution, "distribution"),
        (Self::Failures, "failures"),
        (Self::Chunks, "chunks"),
        (Self::Statics, "static"),
    ];
}

/// All lines of a table.
pub fn csv(report: &Report, table: Table) -> String {
    let rows = match table {
        Table::Programs => programs(report),
        Table::Summary => summary(report),
        Table::Directories => directories(report),
        Table::Libraries => libraries(report),
        Table::Distribution => distribution(report),
        Table::Failures => failures(report),
        Table::Chunks => chunks(report),
        Table::Statics => statics(report),
    };
    text(rows)
}

fn times(times: f64) -> String {
    format!("{times:.4}")
}

/// A number that may be missing.
fn maybe(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn maybe_times(number: Option<f64>) -> String {
    number.map(times).unwrap_or_default()
}

fn growth(growth: &Growth) -> [String; 3] {
    [growth.original.to_string(), growth.converted.to_string(), times(growth.times)]
}

fn programs(report: &Report) -> Rows {
    let mut rows = head(&[
        "name",
        "other_names",
        "original",
        "converted",
        "times",
        "original_allocated",
        "converted_allocated",
        "libraries",
        "failure",
    ]);
    let columns = rows[0].len();
    for program in &report.programs {
        let mut row = vec![program.names[0].clone(), program.names[1..].join(" ")];
        row.extend(growth(&program.growth));
        row.extend([
            program.original_allocated.to_string(),
            program.converted_allocated.to_string(),
            program.libraries.to_string(),
            String::new(),
        ]);
        rows.push(row);
    }
    for failure in &report.failures {
        let mut row = vec![String::new(); columns];
        row[0] = failure.names.first().cloned().unwrap_or_default();
        row[1] = failure.names.get(1..).unwrap_or_default().join(" ");
        row[columns - 1] = failure.message.clone();
        rows.push(row);
    }
    rows
}

fn summary(report: &Report) -> Rows {
    let mut rows = head(&["what", "name", "original", "converted", "times"]);
    let mut add = |what: &str, name: &str, numbers: [String; 3]| {
        let mut row = vec![what.to_owned(), name.to_owned()];
        row.extend(numbers);
        rows.push(row);
    };
    let table = &report.table;
    add("total", "", growth(&table.total));
    add("average", "", growth(&table.average));
    for (what, named) in [("maximum", &table.largest), ("minimum", &table.smallest)] {
        if let Some(named) = named {
            add(what, &named.name, growth(&named.growth));
        }
    }
    let image = &report.image;
    let (before, after) = (image.original, image.converted);
    add("image_apparent", "", growth(&Growth::new(before.apparent, after.apparent)));
    add("image_allocated", "", growth(&Growth::new(before.allocated, after.allocated)));
    if let Some(pool) = &report.pool {
        add("pool", &pool.path, [String::new(), pool.size.to_string(), String::new()]);
    }
    let physical = &image.physical;
    let numbers =
        [maybe(physical.original), maybe(physical.converted), maybe_times(physical.times)];
    add("image_physical", "", numbers);
    rows
}

fn directories(report: &Report) -> Rows {
    let mut rows = head(&["directory", "programs", "original", "converted", "times"]);
    for (path, table) in &report.directories {
        let mut row = vec![path.clone(), table.programs.to_string()];
        row.extend(growth(&table.total));
        rows.push(row);
    }
    rows
}

fn libraries(report: &Report) -> Rows {
    let mut rows = head(&["library", "programs", "embedded", "percent"]);
    for library in &report.libraries {
        rows.push(vec![
            library.path.clone(),
            library.programs.to_string(),
            library.embedded.to_string(),
            times(library.percent),
        ]);
    }
    rows
}

fn distribution(report: &Report) -> Rows {
    let mut rows = head(&["from", "below", "programs"]);
    for class in &report.distribution {
        rows.push(vec![class.from.to_string(), maybe(class.below), class.programs.to_string()]);
    }
    rows
}

fn failures(report: &Report) -> Rows {
    let mut rows = head(&["reason", "programs", "name", "other_names", "message"]);
    let mut failures: Vec<_> = report.failures.iter().collect();
    failures.sort_by(|a, b| (&a.reason, &a.names).cmp(&(&b.reason, &b.names)));
    for failure in failures {
        let count = report.failure_reasons.get(&failure.reason).copied().unwrap_or_default();
        rows.push(vec![
            failure.reason.clone(),
            count.to_string(),
            failure.names.first().cloned().unwrap_or_default(),
            failure.names.get(1..).unwrap_or_default().join(" "),
            failure.message.clone(),
        ]);
    }
    rows
}

fn chunks(report: &Report) -> Rows {
    let mut rows = head(&[
        "cut",
        "chunk_size",
        "original_chunks",
        "original_unique_chunks",
        "original_unique_bytes",
        "original_zero_chunks",
        "converted_chunks",
        "converted_unique_chunks",
        "converted_unique_bytes",
        "converted_zero_chunks",
        "chunk_times",
        "byte_times",
    ]);
    let mut add = |cut: &str, table: &Option<ChunkTable>| {
        for row in table.iter().flat_map(|table| &table.sizes) {
            let mut line = vec![cut.to_owned(), row.size.to_string()];
            for unique in [row.original, Some(row.converted)] {
                line.extend([
                    maybe(unique.map(|unique| unique.chunks)),
                    maybe(unique.map(|unique| unique.unique_chunks)),
                    maybe(unique.map(|unique| unique.unique_bytes)),
                    maybe(unique.map(|unique| unique.zero_chunks)),
                ]);
            }
            line.extend([maybe_times(row.chunk_times), maybe_times(row.byte_times)]);
            rows.push(line);
        }
    };
    add("file", &report.chunks);
    add("ext4 image", &report.image_chunks);
    rows
}

fn statics(report: &Report) -> Rows {
    let mut rows = head(&[
        "what",
        "name",
        "static_path",
        "dynamic",
        "static",
        "converted",
        "static_times",
        "converted_times",
        "converted_over_static",
    ]);
    let Some(table) = &report.statics else {
        return rows;
    };
    let mut add = |what: &str, name: &str, path: &str, sizes: &Sizes| {
        rows.push(vec![
            what.to_owned(),
            name.to_owned(),
            path.to_owned(),
            sizes.dynamic.to_string(),
            sizes.linked.to_string(),
            sizes.converted.to_string(),
            times(sizes.static_times),
            times(sizes.converted_times),
            times(sizes.converted_over_static),
        ]);
    };
    for pair in &table.programs {
        add("program", &pair.name, &pair.static_path, &pair.sizes);
    }
    add("total", "", "", &table.total);
    add("average", "", "", &table.average);
    for (what, pair) in [("maximum", &table.largest), ("minimum", &table.smallest)] {
        if let Some(pair) = pair {
            add(what, &pair.name, &pair.static_path, &pair.sizes);
        }
    }
    rows
}

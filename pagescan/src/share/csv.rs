//! The tables of the answer as comma-separated values (RFC 4180), the fields named as in JSON.

use statify_printable::cell;

use super::answer::Answer;
use super::class::Class;

/// Which table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "command-line", derive(clap::ValueEnum))]
pub enum Table {
    /// A line for each class of sharing
    #[default]
    Classes,
    /// A line for each domain
    Domains,
    /// A line for each pair of domains that share something, or could
    Matrix,
    /// A line for each of the largest duplicates
    Largest,
    /// A line for each file
    Files,
}

/// The table.
pub fn csv(answer: &Answer, table: Table) -> String {
    match table {
        Table::Classes => classes(answer),
        Table::Domains => domains(answer),
        Table::Matrix => matrix(answer),
        Table::Largest => largest(answer),
        Table::Files => files(answer),
    }
}

fn classes(answer: &Answer) -> String {
    let mut lines = vec![vec!["class".into(), "side".into(), "pages".into(), "frames".into()]];
    for class in Class::ALL {
        let sides = answer.classes.of(class);
        for (side, count) in [("internal", sides.internal), ("external", sides.external)] {
            let name = class.name().to_owned();
            lines.push(vec![name, side.into(), count.pages.to_string(), count.frames.to_string()]);
        }
    }
    text(lines)
}

fn domains(answer: &Answer) -> String {
    let head = [
        "name",
        "pages",
        "frames",
        "own_frames",
        "shared",
        "opportunity",
        "private",
        "zero",
        "unread",
        "savable",
        "attainable",
    ];
    let mut lines = vec![head.map(String::from).to_vec()];
    for domain in &answer.domains {
        let numbers = [
            domain.count.pages,
            domain.count.frames,
            domain.own_frames,
            domain.shared,
            domain.opportunity,
            domain.private,
            domain.zero,
            domain.unread,
            domain.savable,
            domain.attainable,
        ];
        let mut line = vec![cell(&domain.name)];
        line.extend(numbers.map(|number| number.to_string()));
        lines.push(line);
    }
    text(lines)
}

fn matrix(answer: &Answer) -> String {
    let mut lines = vec![["a", "b", "shared", "could"].map(String::from).to_vec()];
    for pair in &answer.matrix.pairs {
        let name = |domain: usize| cell(&answer.domains[domain].name);
        lines.push(vec![
            name(pair.a),
            name(pair.b),
            pair.shared.to_string(),
            pair.could.to_string(),
        ]);
    }
    text(lines)
}

fn largest(answer: &Answer) -> String {
    let mut lines = vec![["hash", "frames", "pages", "kind", "places"].map(String::from).to_vec()];
    for duplicate in &answer.largest {
        lines.push(vec![
            duplicate.hash.clone(),
            duplicate.count.frames.to_string(),
            duplicate.count.pages.to_string(),
            duplicate.kind.into(),
            cell(&duplicate.places.join("; ")),
        ]);
    }
    text(lines)
}

fn files(answer: &Answer) -> String {
    let head = [
        "machine",
        "path",
        "device",
        "inode",
        "is_library",
        "processes",
        "address_pages",
        "pages",
        "frames",
        "copies",
    ];
    let mut lines = vec![head.map(String::from).to_vec()];
    for file in &answer.files {
        let mut line = vec![cell(file.machine.as_deref().unwrap_or_default()), cell(&file.path)];
        let numbers = [file.device, file.inode];
        line.extend(numbers.map(|number| number.to_string()));
        line.push(file.is_library.to_string());
        let numbers =
            [file.processes, file.address_pages, file.count.pages, file.count.frames, file.copies];
        line.extend(numbers.map(|number| number.to_string()));
        lines.push(line);
    }
    text(lines)
}

fn text(lines: Vec<Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        // Into memory nothing fails, and all lines of a table are equally long.
        let _ = writer.write_record(line);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

//! The programs as comma-separated values (RFC 4180), a line for each file, the failures among them.

use csv::Writer;

use super::Report;

/// The columns.
const HEAD: [&str; 9] = [
    "name",
    "other_names",
    "original",
    "converted",
    "times",
    "original_allocated",
    "converted_allocated",
    "libraries",
    "failure",
];

/// All lines.
pub fn csv(report: &Report) -> Vec<u8> {
    let mut writer = Writer::from_writer(Vec::new());
    let mut rows = vec![HEAD.map(String::from)];
    for program in &report.programs {
        rows.push([
            program.names[0].clone(),
            program.names[1..].join(" "),
            program.growth.original.to_string(),
            program.growth.converted.to_string(),
            format!("{:.4}", program.growth.times),
            program.original_allocated.to_string(),
            program.converted_allocated.to_string(),
            program.libraries.to_string(),
            String::new(),
        ]);
    }
    for failure in &report.failures {
        let mut row: [String; 9] = Default::default();
        row[0] = failure.names.first().cloned().unwrap_or_default();
        row[1] = failure.names.get(1..).unwrap_or_default().join(" ");
        row[8] = failure.message.clone();
        rows.push(row);
    }
    for row in rows {
        writer.write_record(row).expect("a vector takes everything");
    }
    writer.into_inner().expect("a vector takes everything")
}

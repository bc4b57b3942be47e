//! As comma-separated values (RFC 4180), the fields named as in JSON.

use elfscan::scan::{Privilege, Row};

use super::table::relro;
use crate::Failure;

const HEADER: [&str; 24] = [
    "path",
    "size",
    "class",
    "machine",
    "kind",
    "interpreter",
    "libraries",
    "pie",
    "relro",
    "bind_now",
    "nx",
    "canary",
    "fortify",
    "ibt",
    "shstk",
    "bti",
    "pac",
    "gcs",
    "text_relocations",
    "largest_page",
    "glibc",
    "privileges",
    "verdict",
    "reason",
];

/// The whole text.
pub fn text(rows: &[Row]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for row in rows {
        let facts = &row.facts;
        let hardening = &facts.hardening;
        let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string()).unwrap_or_default();
        let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        let privileges: Vec<&str> = row.privileges.iter().copied().map(Privilege::name).collect();
        let cells = [
            statify_printable::path(&row.path),
            row.size.to_string(),
            number(facts.class.map(u64::from)),
            facts.machine.map(|machine| machine.to_string()).unwrap_or_default(),
            row.kind().name().to_owned(),
            facts.interpreter.clone().unwrap_or_default(),
            number(facts.libraries.map(|count| count as u64)),
            flag(hardening.pie),
            hardening.relro.map(relro).unwrap_or_default().to_owned(),
            flag(hardening.bind_now),
            flag(hardening.nx),
            flag(hardening.canary),
            flag(hardening.fortify),
            flag(hardening.ibt),
            flag(hardening.shstk),
            flag(hardening.bti),
            flag(hardening.pac),
            flag(hardening.gcs),
            flag(hardening.text_relocations),
            number(facts.largest_page),
            facts.glibc.as_ref().map(ToString::to_string).unwrap_or_default(),
            privileges.join(" "),
            row.verdict.name().to_owned(),
            row.reason.clone().unwrap_or_default(),
        ];
        writer.write_record(cells.map(|cell| statify_printable::cell(&cell)))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

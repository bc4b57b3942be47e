//! What came of a run as comma-separated values (RFC 4180): each table is a file of its own.

use super::options::Variant;
use super::outcome::Outcome;
use super::rows::Side;
use crate::report::rows::{Rows, head, text};

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The paper's Table 3.
    Chunks,
    /// The paper's Table 4.
    Times,
    /// Each measured boot.
    Boots,
    /// How reads came together in the course of time.
    Timeline,
}

impl Table {
    /// All of them, each with its name.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Chunks, "chunks"),
        (Self::Times, "times"),
        (Self::Boots, "boots"),
        (Self::Timeline, "timeline"),
    ];
}

/// All lines of a table.
pub fn csv(outcome: &Outcome, table: Table) -> String {
    let rows = match table {
        Table::Chunks => chunks(outcome),
        Table::Times => times(outcome),
        Table::Boots => boots(outcome),
        Table::Timeline => timeline(outcome),
    };
    text(rows)
}

fn decimal(number: f64) -> String {
    format!("{number:.4}")
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

fn on(ksm: bool) -> String {
    if ksm { "on".into() } else { "off".into() }
}

fn chunks(outcome: &Outcome) -> Rows {
    let mut rows = head(&[
        "system",
        "chunk_size",
        "whole_normal",
        "whole_converted",
        "whole_times",
        "boot_normal",
        "boot_converted",
        "boot_times",
    ]);
    for row in &outcome.chunks {
        let size = row.size.map(|size| size.to_string()).unwrap_or_default();
        let mut line = vec![row.system.name().to_owned(), size];
        for pair in [row.whole, row.boot] {
            line.extend([pair.normal.to_string(), pair.converted.to_string(), decimal(pair.times)]);
        }
        rows.push(line);
    }
    rows
}

fn times(outcome: &Outcome) -> Rows {
    let mut rows = head(&[
        "way",
        "ksm",
        "guest",
        "seconds",
        "least_seconds",
        "most_seconds",
        "times_normal",
        "read_bytes",
        "requests",
        "fetched_bytes",
        "resident",
        "guest_resident",
        "guest_proportional",
        "merged_pages",
        "settled_seconds",
    ]);
    for row in &outcome.times {
        for (variant, side) in
            [(Variant::Normal, &row.normal), (Variant::Converted, &row.converted)]
        {
            let Side { seconds, least_seconds, most_seconds, read_bytes, requests, .. } = *side;
            let times = match variant {
                Variant::Normal => 1.0,
                Variant::Converted => row.times,
            };
            rows.push(vec![
                row.way.name().into(),
                on(row.ksm),
                variant.name().into(),
                decimal(seconds),
                decimal(least_seconds),
                decimal(most_seconds),
                decimal(times),
                whole(read_bytes),
                whole(requests),
                side.fetched_bytes.map(whole).unwrap_or_default(),
                whole(side.resident),
                whole(side.guest_resident),
                whole(side.guest_proportional),
                whole(side.merged_pages),
                side.settled.map(decimal).unwrap_or_default(),
            ]);
        }
    }
    rows
}

fn boots(outcome: &Outcome) -> Rows {
    let mut rows = head(&[
        "round",
        "way",
        "ksm",
        "guest",
        "seconds",
        "read_bytes",
        "requests",
        "fetched_bytes",
        "resident",
        "proportional",
        "guest_resident",
        "guest_proportional",
        "merged_pages",
        "settled_seconds",
    ]);
    for boot in &outcome.boots {
        let (measured, memory) = (&boot.measured, &boot.measured.memory);
        rows.push(vec![
            boot.round.to_string(),
            boot.way.name().into(),
            on(boot.ksm),
            boot.variant.name().into(),
            decimal(measured.seconds),
            measured.read_bytes.to_string(),
            measured.requests.to_string(),
            boot.fetched_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
            memory.resident.to_string(),
            memory.proportional.to_string(),
            memory.guest_resident.to_string(),
            memory.guest_proportional.to_string(),
            memory.merged_pages.to_string(),
            measured.settled.map(decimal).unwrap_or_default(),
        ]);
    }
    rows
}

fn timeline(outcome: &Outcome) -> Rows {
    let mut rows = head(&[
        "system",
        "guest",
        "seconds",
        "requests",
        "bytes",
        "distinct_bytes",
        "chunks_16k",
        "chunks_64k",
        "chunks_256k",
    ]);
    for trace in &outcome.traces {
        for moment in &trace.statistics.timeline {
            let mut line = vec![
                trace.system.name().to_owned(),
                trace.variant.name().to_owned(),
                decimal(moment.seconds),
                moment.requests.to_string(),
                moment.bytes.to_string(),
                moment.distinct_bytes.to_string(),
            ];
            line.extend(moment.chunks.map(|chunks| chunks.to_string()));
            rows.push(line);
        }
    }
    rows
}

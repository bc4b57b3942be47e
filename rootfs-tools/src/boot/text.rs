//! What came of a run, for a terminal.

use std::fmt::Write;

use comfy_table::Table as Grid;
use statify_printable::amount::thousands;
use statify_printable::printable;

use super::outcome::Outcome;
use super::rows::{ChunkRow, Side, TimeRow};
use super::table::{paper_chunks, paper_times};
use crate::report::text::grid;

/// The tables, in lines.
pub fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    let Outcome { normal, converted, accelerator, memory_mib, cpus, runs, .. } = outcome;
    let how = if *accelerator == "kvm" { "by KVM" } else { "emulated in software" };
    let _ = writeln!(text, "normal: {}\nconverted: {}", printable(normal), printable(converted));
    let _ = writeln!(text, "{cpus} CPUs, {memory_mib} MiB, {how}; medians of {runs} boots each\n");
    let _ = writeln!(text, "Table 3: different chunks (or MB)\n{}\n", table_3(&outcome.chunks));
    let _ = writeln!(text, "Table 4: seconds to the login\n{}\n", table_4(&outcome.times));
    let _ = writeln!(text, "Until the login\n{}", reads(&outcome.times));
    text
}

fn times(times: f64) -> String {
    format!("{times:.3}x")
}

/// What is in a row, in words.
pub(super) fn chunk_row(row: &ChunkRow) -> String {
    match row.size {
        None => format!("{}, MB", row.system.name()),
        Some(size) => format!("{}, {} KiB", row.system.name(), size >> 10),
    }
}

/// A number of a row: chunks, or bytes in megabytes, which the paper has.
pub(super) fn chunk_number(row: &ChunkRow, number: u64) -> String {
    match row.size {
        None => format!("{:.1}", number as f64 / 1e6),
        Some(_) => thousands(number),
    }
}

/// Of a way, in words.
pub(super) fn time_row(row: &TimeRow) -> String {
    format!("{}{}", row.way.name(), if row.ksm { ", KSM" } else { "" })
}

fn table_3(rows: &[ChunkRow]) -> Grid {
    let mut grid =
        grid(["", "image", "converted", "times", "paper", "boot", "converted", "times", "paper"]);
    for row in rows {
        let [whole, boot] = paper_chunks(row.size)
            .map(|paper| paper.map_or("-".into(), |[.., times]| format!("{times}x")));
        let number = |number| chunk_number(row, number);
        grid.add_row([
            chunk_row(row),
            number(row.whole.normal),
            number(row.whole.converted),
            times(row.whole.times),
            whole,
            number(row.boot.normal),
            number(row.boot.converted),
            times(row.boot.times),
            boot,
        ]);
    }
    grid
}

fn table_4(rows: &[TimeRow]) -> Grid {
    let mut grid = grid(["", "normal", "converted", "times", "paper", "converted", "times"]);
    for row in rows {
        let paper = paper_times(row.way, row.ksm);
        let paper = paper.map_or(["-".into(), "-".into(), "-".into()], |[normal, converted]| {
            [format!("{normal}"), format!("{converted}"), times(converted / normal)]
        });
        let seconds = |side: &Side| {
            let Side { seconds, least_seconds, most_seconds, .. } = side;
            format!("{seconds:.1} ({least_seconds:.1}-{most_seconds:.1})")
        };
        let [normal, converted, ratio] = paper;
        grid.add_row([
            time_row(row),
            seconds(&row.normal),
            seconds(&row.converted),
            times(row.times),
            normal,
            converted,
            ratio,
        ]);
    }
    grid
}

/// What is read, fetched and kept in memory, normal / converted.
fn reads(rows: &[TimeRow]) -> Grid {
    let mut grid = grid([
        "normal / converted",
        "MB read",
        "requests",
        "MB fetched",
        "guest memory, MB",
        "with merged pages once",
        "merged pages",
        "settled after s",
    ]);
    for row in rows {
        let both = |cell: &dyn Fn(&Side) -> String| {
            format!("{} / {}", cell(&row.normal), cell(&row.converted))
        };
        let mega = |bytes: f64| format!("{:.1}", bytes / 1e6);
        let maybe = |number: Option<String>| number.unwrap_or("-".into());
        grid.add_row([
            time_row(row),
            both(&|side| mega(side.read_bytes)),
            both(&|side| thousands(side.requests as u64)),
            both(&|side| maybe(side.fetched_bytes.map(mega))),
            both(&|side| mega(side.guest_resident)),
            both(&|side| mega(side.guest_proportional)),
            both(&|side| thousands(side.merged_pages as u64)),
            both(&|side| maybe(side.settled.map(|seconds| format!("{seconds:.0}")))),
        ]);
    }
    grid
}

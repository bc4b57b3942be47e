//! The tables, of jobs and of servers.

use statify_bench::style::Style;

use crate::results::{Results, Row, Run};

/// Prints what was measured.
pub fn print(results: &Results, style: Style) {
    let machine = &results.machine;
    println!(
        "{}: {}, {} cores, Linux {}, {}; {} pairs of runs each.",
        machine.date, machine.cpu, machine.cores, machine.kernel, machine.glibc, results.pairs
    );
    let seconds = |run: &Run| format!("{:.3}", run.elapsed);
    table(["job", "original, s", "converted, s"], &results.jobs, seconds, style);
    let requests = |run: &Run| format!("{:.0}", 1.0 / run.elapsed);
    table(["server", "original, per s", "converted, per s"], &results.servers, requests, style);
}

fn table(header: [&str; 3], rows: &[Row], first: impl Fn(&Run) -> String, style: Style) {
    if rows.is_empty() {
        return;
    }
    let ratios = ["time: converted / original", "CPU time", "peak memory"];
    let mut table = style.table(header.into_iter().chain(ratios).map(String::from).collect());
    for row in rows {
        let Some(measured) = &row.measured else {
            table.add_row([&row.name, &format!("not installed: {}", row.missing.join(", "))]);
            continue;
        };
        table.add_row([
            row.name.clone(),
            first(&measured.original),
            first(&measured.converted),
            format!("{:.3}", measured.ratio.elapsed),
            format!("{:.3}", measured.ratio.cpu),
            format!("{:.3}", measured.ratio.peak),
        ]);
    }
    println!("\n{table}");
}

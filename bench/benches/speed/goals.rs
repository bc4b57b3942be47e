//! The project's goals and whether they are reached.

use serde::Serialize;

use crate::rows::{Column, Row};
use statify_bench::convert::Conversion;

/// One goal: a value that has to be at most a limit.
#[derive(Debug, Serialize)]
pub struct Goal {
    pub name: String,
    pub limit: f64,
    /// What limit and value are in; empty for a ratio.
    pub unit: &'static str,
    /// `None` if it was not measured.
    pub value: Option<f64>,
}

impl Goal {
    /// `None` if it was not measured.
    pub fn reached(&self) -> Option<bool> {
        self.value.map(|value| value <= self.limit)
    }
}

/// Holds the measured rows against the goals.
pub fn judge(rows: &[Row]) -> Vec<Goal> {
    let row = |name: &str| rows.iter().find(|row| row.subject == name);
    let ratio =
        |name: &str, over: Column| row(name).and_then(|row| row.ratio(Column::Converted, over));
    let conversion = |name: &str| row(name).and_then(|row| row.conversion);
    let goal = |name: &str, limit: f64, unit: &'static str, value: Option<f64>| Goal {
        name: name.into(),
        limit,
        unit,
        value,
    };

    let mut goals = vec![
        goal("hello over a program that only exits", 1.6, "", ratio("hello", Column::OnlyExits)),
        goal("hello over its own glibc -static build", 0.5, "", ratio("hello", Column::Static)),
        goal("100 libraries over dynamic", 0.1, "", ratio("100 libraries", Column::Original)),
        goal("curl --version over dynamic", 0.5, "", ratio("curl", Column::Original)),
        goal("CPU time to convert curl", 60.0, "ms", conversion("curl").map(|cost| cost.cpu_ms)),
        goal("CPU time to convert gdb", 400.0, "ms", conversion("gdb").map(|cost| cost.cpu_ms)),
    ];
    let memory = |cost: Conversion| cost.peak_rss as f64 / cost.output as f64;
    let size = |cost: Conversion| cost.output as f64 / cost.loadable as f64;
    for name in ["curl", "gdb"] {
        goals.push(goal(
            &format!("peak memory of converting {name} over output size"),
            2.5,
            "",
            conversion(name).map(memory),
        ));
    }
    for name in ["curl", "gdb", "hello"] {
        goals.push(goal(
            &format!("size of converted {name} over loadable pages"),
            1.02,
            "",
            conversion(name).map(size),
        ));
    }
    goals
}

//! Kernels by boots: how many runs held.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What one boot of one kernel showed.
#[derive(Debug, Default)]
pub struct Cell {
    /// Fixtures that did what they should, counted for each circumstance.
    pub passed: usize,
    /// Those that did not.
    pub failed: usize,
    /// Fixtures that are known not to.
    pub excused: BTreeSet<&'static str>,
    /// What went wrong.
    pub messages: Vec<String>,
    /// The machine came to the end of its plan.
    pub complete: bool,
    /// The boot was what it was to be.
    pub in_effect: bool,
}

impl Cell {
    /// Another batch of the same boot.
    pub fn add(&mut self, other: Cell) {
        let first = self.passed + self.failed == 0;
        self.complete = other.complete && (first || self.complete);
        self.in_effect = other.in_effect && (first || self.in_effect);
        self.passed += other.passed;
        self.failed += other.failed;
        self.excused.extend(other.excused);
        self.messages.extend(other.messages);
    }

    fn holds(&self) -> bool {
        self.failed == 0 && self.complete
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.complete {
            write!(out, "stopped, ")?;
        }
        write!(out, "{}/{}", self.passed, self.passed + self.failed)?;
        // A kernel that does not know the parameter, or cannot do it.
        if !self.in_effect { write!(out, " (not in effect)") } else { Ok(()) }
    }
}

/// All of it, in the order in which it was found.
#[derive(Debug, Default)]
pub struct Table {
    kernels: Vec<String>,
    boots: Vec<String>,
    cells: BTreeMap<(String, String), Cell>,
}

impl Table {
    /// Adds what a boot showed.
    pub fn set(&mut self, kernel: &str, boot: &str, cell: Cell) {
        for (list, name) in [(&mut self.kernels, kernel), (&mut self.boots, boot)] {
            if !list.iter().any(|known| known == name) {
                list.push(name.into());
            }
        }
        self.cells.insert((kernel.into(), boot.into()), cell);
    }

    /// Whether nothing failed.
    pub fn holds(&self) -> bool {
        self.cells.values().all(Cell::holds)
    }

    /// Every fixture that was excused somewhere.
    pub fn excused(&self) -> impl Iterator<Item = &'static str> {
        self.cells.values().flat_map(|cell| cell.excused.iter().copied())
    }

    /// Boots down, kernels across.
    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![vec![String::new()]];
        rows[0].extend(self.kernels.iter().cloned());
        for boot in &self.boots {
            let mut row = vec![boot.clone()];
            row.extend(self.kernels.iter().map(|kernel| {
                let cell = self.cells.get(&(kernel.clone(), boot.clone()));
                cell.map_or_else(String::new, ToString::to_string)
            }));
            rows.push(row);
        }
        rows
    }

    fn aligned(&self) -> Vec<Vec<String>> {
        let mut rows = self.rows();
        for column in 0..rows[0].len() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            for row in &mut rows {
                let cell = &mut row[column];
                *cell =
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            }
        }
        rows
    }

    /// For a terminal.
    pub fn plain(&self) -> String {
        self.aligned().iter().map(|row| format!("{}\n", row.join("  ").trim_end())).collect()
    }

    /// For a document.
    pub fn markdown(&self) -> String {
        let mut lines: Vec<String> =
            self.aligned().iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
        let rule: String = self.aligned()[0]
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let dashes = "-".repeat(cell.len() + 1);
                if column == 0 { format!("|{dashes}-") } else { format!("|{dashes}:") }
            })
            .collect();
        lines.insert(1, format!("{rule}|\n"));
        lines.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(passed: usize, failed: usize, in_effect: bool) -> Cell {
        Cell { passed, failed, in_effect, complete: true, ..Cell::default() }
    }

    #[test]
    fn is_a_markdown_table() {
        let mut table = Table::default();
        table.set("5.10", "all", cell(3, 0, true));
        table.set("6.1", "all", cell(2, 1, true));
        table.set("6.1", "other", cell(1, 0, false));
        assert_eq!(
            table.markdown(),
            "|       | 5.10 |                 6.1 |\n\
             |-------|-----:|--------------------:|\n\
             | all   |  3/3 |                 2/3 |\n\
             | other |      | 1/1 (not in effect) |\n"
        );
        assert!(!table.holds());
    }

    #[test]
    fn one_batch_that_stops_is_enough() {
        let mut sum = Cell::default();
        sum.add(cell(1, 0, true));
        sum.add(Cell { complete: false, ..cell(1, 0, true) });
        sum.add(cell(1, 0, true));
        assert!(!sum.holds() && sum.passed == 3);
    }
}

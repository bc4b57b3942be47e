//! What experiments find, beside what the papers say.

use serde::Serialize;
use statify_bench::style::Style;
use statify_printable::amount::thousands;

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Pages of 4 KiB.
    Pages,
    /// Nothing: a quotient.
    Ratio,
    /// Parts of a hundred.
    Percent,
    /// Seconds.
    Seconds,
}

/// A number.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    what: String,
    value: f64,
    unit: Unit,
    /// The same in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<&'static str>,
}

/// What an experiment has found.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// What was done, in sentences.
    pub notes: Vec<String>,
    /// The numbers.
    pub lines: Vec<Line>,
    /// How long it took.
    pub seconds: f64,
    /// Load averages of the machine's last minute, before and after.
    pub load: [f64; 2],
    /// Everything that was measured.
    pub details: serde_json::Value,
    /// Charts as SVG, by name.
    #[serde(skip)]
    pub charts: Vec<(&'static str, String)>,
}

impl Outcome {
    /// Of an experiment that nothing is known of yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Adds a sentence.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a number, and the paper's if it has one.
    pub fn line(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: Unit,
        paper: Option<&'static str>,
    ) {
        self.lines.push(Line { what: what.into(), value, unit, paper });
    }

    /// In the form of docs/src/measured/memory.md.
    pub fn text(&self, style: Style) -> String {
        let mut table = style.table(vec![self.name.into(), "measured".into(), "paper".into()]);
        for line in &self.lines {
            table.add_row([line.what.clone(), line.shown(), line.paper.unwrap_or("").into()]);
        }
        let [before, after] = self.load;
        let notes: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        let seconds = self.seconds;
        format!(
            "{notes}It took {seconds:.0} s; load average {before:.1} before, {after:.1} after.\n\n{table}\n"
        )
    }
}

impl Line {
    fn shown(&self) -> String {
        match self.unit {
            Unit::Pages => whole(self.value),
            Unit::Ratio => format!("{:.3}", self.value),
            Unit::Percent => format!("{:.1}%", self.value),
            Unit::Seconds => format!("{:.1} s", self.value),
        }
    }
}

/// A whole number with its thousands apart.
fn whole(value: f64) -> String {
    let sign = if value <= -0.5 { "-" } else { "" };
    format!("{sign}{}", thousands(value.abs().round() as u64))
}

/// A quotient; no number if there is nothing to divide by.
pub fn ratio(over: u64, under: u64) -> f64 {
    if under == 0 { f64::NAN } else { over as f64 / under as f64 }
}

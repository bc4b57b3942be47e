//! What a sweep found: totals, a table of what failed, and the same as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rootfs_tools::check::compare::Verdict;
use rootfs_tools::check::outcome::End;
use serde_json::{Value, json};

use crate::convert::Conversion;
use crate::exceptions::EXCEPTIONS;
use crate::scan::Verdicts;
use crate::sweep::{Compared, Examined};

/// Counts and the examined programs they come from.
pub struct Report<'a> {
    examined: &'a [Examined],
    /// Programs of which elfscan says something else than statify, and what.
    disagreements: Vec<(&'a Examined, String)>,
    /// The whole of `/usr/bin` and `/usr/sbin` was swept, so that unused exceptions show.
    complete: bool,
}

impl<'a> Report<'a> {
    /// A report of `examined`.
    pub fn new(examined: &'a [Examined], verdicts: &Verdicts, complete: bool) -> Self {
        let disagreement = |program: &'a Examined| {
            Some((program, verdicts.disagreement(&program.program, &program.conversion)?))
        };
        let disagreements = examined.iter().filter_map(disagreement).collect();
        Self { examined, disagreements, complete }
    }

    fn runs(&self) -> impl Iterator<Item = (&Examined, &Compared)> {
        self.examined.iter().flat_map(|program| program.runs.iter().map(move |run| (program, run)))
    }

    fn conversions(&self, wanted: impl Fn(&Conversion) -> bool) -> usize {
        self.examined.iter().filter(|program| wanted(&program.conversion)).count()
    }

    fn differing(&self, excepted: bool) -> Vec<(&Examined, &Compared, &str)> {
        self.runs()
            .filter(|(_, run)| run.exception.is_some() == excepted)
            .filter_map(|(program, run)| Some((program, run, run.verdict.difference()?)))
            .collect()
    }

    /// Runs that agree or are excepted, conversions that were done or refused by design, and verdicts of
    /// elfscan's that are statify's.
    pub fn passed(&self) -> usize {
        let runs = self.runs().count() - self.differing(false).len();
        let verdicts = self.examined.len() - self.disagreements.len();
        runs + verdicts
            + self.conversions(|conversion| !matches!(conversion, Conversion::Failed(_)))
    }

    /// Runs that differ without being excepted, conversions that failed, and verdicts of elfscan's that
    /// are not statify's.
    pub fn failed(&self) -> usize {
        self.differing(false).len()
            + self.disagreements.len()
            + self.conversions(|conversion| matches!(conversion, Conversion::Failed(_)))
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for program in self.examined {
            if let Conversion::Failed(why) = &program.conversion {
                let _ =
                    writeln!(text, "NOT CONVERTED {}\n    {why}", program.program.path.display());
            }
        }
        for (program, what) in &self.disagreements {
            let _ = writeln!(text, "VERDICT {}\n    {what}", program.program.path.display());
        }
        for (program, run, difference) in self.differing(false) {
            let path = program.program.path.display();
            let difference = difference.replace('\n', "\n    ");
            let _ = writeln!(text, "DIFFERS {path} {}\n    {difference}", run.arguments.label());
        }
        for (program, run, _) in self.differing(true) {
            let reason = run.exception.map_or("", |(_, reason)| reason);
            let path = program.program.path.display();
            let _ = writeln!(text, "excepted {path} {}: {reason}", run.arguments.label());
        }
        self.refused(&mut text);
        self.unused_exceptions(&mut text);
        let _ = writeln!(text, "{}", self.totals());
        text
    }

    fn refused(&self, text: &mut String) {
        for program in self.examined {
            if let Conversion::Refused(why) = &program.conversion {
                let _ =
                    writeln!(text, "refused by design {}: {why}", program.program.path.display());
            }
        }
    }

    /// Warns of entries of the table whose run agrees, or whose program is not there.
    fn unused_exceptions(&self, text: &mut String) {
        let used: BTreeSet<usize> = self
            .differing(true)
            .into_iter()
            .filter_map(|(_, run, _)| Some(run.exception?.0))
            .collect();
        let met: BTreeSet<usize> =
            self.runs().filter_map(|(_, run)| Some(run.exception?.0)).collect();
        for (place, entry) in EXCEPTIONS.iter().enumerate() {
            let run = entry.run.map_or("all runs", |run| run.label());
            if met.contains(&place) && !used.contains(&place) {
                let _ =
                    writeln!(text, "warning: exception {} {run} agreed this time", entry.program);
            } else if self.complete && !met.contains(&place) {
                let _ = writeln!(
                    text,
                    "warning: exception {} {run}: no such program here",
                    entry.program
                );
            }
        }
    }

    fn totals(&self) -> String {
        let runs = self.runs().count();
        let normalised =
            self.runs().filter(|(_, run)| run.verdict == Verdict::AgreesNormalised).count();
        let stopped = self.runs().filter(|(_, run)| run.end == End::Stopped).count();
        let differing = self.differing(false).len();
        let excepted = self.differing(true).len();
        let agree = runs - differing - excepted;
        format!(
            "{} programs: {} converted, {} refused by design, {} failed; {runs} runs: {agree} agree \
             ({normalised} of them after normalisation, {stopped} stopped while running), {excepted} \
             excepted, {differing} differ; elfscan's verdict is another for {}",
            self.examined.len(),
            self.conversions(|conversion| *conversion == Conversion::Done),
            self.conversions(|conversion| matches!(conversion, Conversion::Refused(_))),
            self.conversions(|conversion| matches!(conversion, Conversion::Failed(_))),
            self.disagreements.len(),
        )
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        let programs: Vec<Value> = self.examined.iter().map(describe).collect();
        json!({
            "passed": self.passed(),
            "failed": self.failed(),
            "totals": self.totals(),
            "programs": programs,
        })
    }
}

fn describe(program: &Examined) -> Value {
    let (conversion, message) = match &program.conversion {
        Conversion::Done => ("done", None),
        Conversion::Refused(why) => ("refused", Some(why)),
        Conversion::Failed(why) => ("failed", Some(why)),
    };
    let runs: Vec<Value> = program.runs.iter().map(describe_run).collect();
    json!({
        "program": program.program.path,
        "conversion": conversion,
        "message": message,
        "conversion_ms": program.conversion_time.as_secs_f64() * 1e3,
        "runs": runs,
    })
}

fn describe_run(run: &Compared) -> Value {
    let (verdict, difference) = match &run.verdict {
        Verdict::Agrees => ("agrees", None),
        Verdict::AgreesNormalised => ("agrees normalised", None),
        Verdict::Varies(difference) | Verdict::Differs(difference) => ("differs", Some(difference)),
    };
    json!({
        "arguments": run.arguments,
        "end": run.end.to_string(),
        "verdict": verdict,
        "difference": difference,
        "exception": run.exception.map(|(_, reason)| reason),
    })
}

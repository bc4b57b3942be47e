//! What a check found.

use std::path::{Path, PathBuf};

use serde::Serialize;
use statify_files::path_text;

use super::outcome::End;

/// What a check found, all of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The tree.
    #[serde(with = "path_text")]
    pub root: PathBuf,
    /// Which programs there are was told by a journal.
    pub journal: bool,
    /// Where originals were found.
    #[serde(with = "path_text::list")]
    pub originals: Vec<PathBuf>,
    /// In numbers.
    pub counts: Counts,
    /// The programs, in the order of their names; a file with several names is one.
    pub programs: Vec<Checked>,
}

/// In numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All programs.
    pub programs: usize,
    /// Programs that are as they were written, and what belongs there.
    pub intact: usize,
    /// Programs that are not.
    pub damaged: usize,
    /// Programs that were run beside their originals.
    pub compared: usize,
    /// Programs of which no original was found.
    pub not_compared: usize,
    /// Programs that differ in an answer.
    pub differing: usize,
    /// Answers that are the same.
    pub agree: usize,
    /// Answers in which the original differs from itself.
    pub vary: usize,
    /// Answers that differ.
    pub differ: usize,
    /// Calls that the original does not answer.
    pub unanswered: usize,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its names, from ROOT on.
    pub names: Vec<String>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// What a user should know of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Why it was not run beside its original.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
    /// What it answers.
    pub answers: Vec<Answer>,
    /// Of one that differs: embedded libraries that are others in the tree now, which the original
    /// uses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_libraries: Vec<String>,
}

/// What a program answers, beside its original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What both were called with.
    pub argument: &'static str,
    /// How the original ended.
    pub end: End,
    /// What is to be said of it.
    pub judgement: Judgement,
    /// Where they differ, in a few lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

/// What is to be said of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Both wrote the same, byte for byte.
    Agrees,
    /// The original differs from itself; or they differed once and then agreed every time.
    Varies,
    /// Not the same.
    Differs,
    /// The original does not end by itself.
    NoAnswer,
}

impl Checked {
    /// Nothing is wrong with it.
    pub fn is_well(&self) -> bool {
        self.problems.is_empty() && !self.has(Judgement::Differs)
    }

    fn has(&self, judgement: Judgement) -> bool {
        self.answers.iter().any(|answer| answer.judgement == judgement)
    }
}

impl Report {
    /// Of these programs.
    pub fn of(root: &Path, journal: bool, originals: Vec<PathBuf>, programs: Vec<Checked>) -> Self {
        let count = |wanted: fn(&Checked) -> bool| programs.iter().filter(|p| wanted(p)).count();
        let answers = |judgement| {
            let all = programs.iter().flat_map(|program| &program.answers);
            all.filter(|answer| answer.judgement == judgement).count()
        };
        let counts = Counts {
            programs: programs.len(),
            intact: count(|program| program.problems.is_empty()),
            damaged: count(|program| !program.problems.is_empty()),
            compared: count(|program| !program.answers.is_empty()),
            not_compared: count(|program| program.not_compared.is_some()),
            differing: count(|program| program.has(Judgement::Differs)),
            agree: answers(Judgement::Agrees),
            vary: answers(Judgement::Varies),
            differ: answers(Judgement::Differs),
            unanswered: answers(Judgement::NoAnswer),
        };
        Self { root: root.to_owned(), journal, originals, counts, programs }
    }

    /// Nothing is wrong with any.
    pub fn is_well(&self) -> bool {
        self.programs.iter().all(Checked::is_well)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(problems: &[&str], judgements: &[Judgement]) -> Checked {
        let answer = |&judgement| Answer {
            argument: "--version",
            end: End::Exit(0),
            judgement,
            difference: None,
        };
        Checked {
            names: vec!["/bin/a".into()],
            problems: problems.iter().map(|&problem| problem.into()).collect(),
            notices: Vec::new(),
            not_compared: judgements.is_empty().then(|| "no original was kept".into()),
            answers: judgements.iter().map(answer).collect(),
            changed_libraries: Vec::new(),
        }
    }

    #[test]
    fn what_counts() {
        use Judgement::{Agrees, Differs, NoAnswer, Varies};
        let well = [program(&[], &[Agrees, Varies]), program(&[], &[NoAnswer]), program(&[], &[])];
        let report = Report::of(Path::new("/r"), true, Vec::new(), well.to_vec());
        assert!(report.is_well());
        let more = [well.as_slice(), &[program(&["x"], &[]), program(&[], &[Differs, Differs])]];
        let report = Report::of(Path::new("/r"), true, Vec::new(), more.concat());
        assert!(!report.is_well());
        let expected = Counts {
            programs: 5,
            intact: 4,
            damaged: 1,
            compared: 3,
            not_compared: 2,
            differing: 1,
            agree: 1,
            vary: 1,
            differ: 2,
            unanswered: 1,
        };
        assert_eq!(report.counts, expected);
    }
}

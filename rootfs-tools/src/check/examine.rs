//! One program: what it is, and what it does beside its original.
//!
//! Original and converted run at the same path in the same tree, the one after the other mounted there,
//! so that everything else is equal: libraries, configuration, other programs. A difference counts once
//! it is seen twice while the original agrees with itself.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use statify_files::path_text;

use super::compare::{self, Verdict, exact_difference, same};
use super::integrity;
use super::outcome::{End, Outcome};
use super::report::{Answer, Checked, Judgement};
use super::run::{self, Limits};
use super::subjects::Subject;
use crate::error::Result;
use crate::journal::state;
use crate::tree::Tree;

/// What programs are called with, one after the other.
const ARGUMENTS: [&str; 2] = ["--version", "--help"];
/// How often both are run again where they differ, and the original after that.
const REPEATS: usize = 3;
/// By how much the time limit grows then: the machine may have been busy.
const PATIENCE: u32 = 4;

/// What all programs have in common.
#[derive(Debug)]
pub(crate) struct Examiner<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Whether programs are run.
    pub runs: bool,
    /// What a run may consume.
    pub limits: Limits,
    /// FIFOs and sockets in the tree, which programs do not see.
    pub channels: Vec<CString>,
}

/// A program and its original.
struct Pair<'a> {
    examiner: &'a Examiner<'a>,
    path: PathBuf,
    original: PathBuf,
    converted: PathBuf,
}

impl Examiner<'_> {
    /// Checks a program, and runs it if that is wanted and it has an original. An error is the
    /// machine's: nothing can be run.
    pub fn examine(&self, subject: &Subject) -> Result<Checked> {
        let mut found = integrity::check(subject);
        let mut answers = Vec::new();
        let mut not_compared = None;
        if self.runs && found.runnable {
            let expected = integrity::original_of(subject, found.manifest.as_ref());
            match self.pair(subject, expected.as_deref()) {
                Ok((pair, notice)) => {
                    found.problems.extend(notice);
                    for argument in ARGUMENTS {
                        answers.push(pair.compare(argument)?);
                    }
                }
                Err(why) => not_compared = Some(why),
            }
        }
        let differs = answers.iter().any(|answer| answer.judgement == Judgement::Differs);
        let manifest = found.manifest.as_ref().filter(|_| differs);
        let libraries = manifest.map(|manifest| integrity::changed(&self.tree.root, manifest));
        Ok(Checked {
            names: subject.names.iter().map(|name| path_text::to_text(name)).collect(),
            problems: found.problems,
            notices: found.notices,
            not_compared,
            answers,
            changed_libraries: libraries.unwrap_or_default(),
        })
    }

    /// The two, and what is wrong with that; or why there are not two.
    fn pair(
        &self,
        subject: &Subject,
        expected: Option<&str>,
    ) -> std::result::Result<(Pair<'_>, Option<String>), String> {
        let original = subject.original.clone()?;
        let name = subject.file.as_ref().map_err(Clone::clone)?;
        let mut notice = None;
        if let Some(expected) = expected {
            let shown = original.display();
            let holds = state::holds(&original, expected);
            if !holds.map_err(|error| format!("{shown}: it cannot be read: {error}"))? {
                let text = format!("{shown} is not the file that was converted");
                if subject.replacement.is_some() {
                    return Err(text);
                }
                notice = Some(text);
            }
        }
        let path = name.path();
        let inside = path.strip_prefix("/").unwrap_or(&path);
        let converted = self.tree.path.join(inside);
        Ok((Pair { examiner: self, path, original, converted }, notice))
    }
}

impl Pair<'_> {
    fn run(&self, image: &Path, argument: &str, patience: u32) -> Result<Outcome> {
        let Limits { time, memory } = self.examiner.limits;
        let limits = Limits { time: time.saturating_mul(patience), memory };
        let Examiner { tree, channels, .. } = self.examiner;
        Ok(run::run(&tree.root, &self.path, image, argument, limits, channels)?)
    }

    fn compare(&self, argument: &'static str) -> Result<Answer> {
        let first = self.run(&self.original, argument, 1)?;
        let end = first.end.clone();
        let answer = |judgement, difference| Answer { argument, end, judgement, difference };
        if !matches!(first.end, End::Exit(_)) {
            return Ok(answer(Judgement::NoAnswer, None));
        }
        let mut converted = self.run(&self.converted, argument, 1)?;
        let Some(seen) = exact_difference(&first, &converted) else {
            return Ok(answer(Judgement::Agrees, None));
        };
        let mut originals = vec![first];
        for repeat in 0.. {
            if repeat == REPEATS {
                // What a program tells of the machine may have changed between two runs.
                return Ok(answer(Judgement::Varies, Some(format!("(once in {repeat}) {seen}"))));
            }
            let original = self.run(&self.original, argument, PATIENCE)?;
            converted = self.run(&self.converted, argument, PATIENCE)?;
            let agrees = same(&original, &converted);
            originals.push(original);
            if !agrees {
                break;
            }
        }
        for _ in 1..REPEATS {
            originals.push(self.run(&self.original, argument, 1)?);
        }
        Ok(match compare::judge(&originals, &converted, false) {
            Verdict::Agrees => answer(Judgement::Varies, Some(seen)),
            Verdict::AgreesNormalised => answer(Judgement::Varies, None),
            Verdict::Varies(what) => answer(Judgement::Varies, Some(what)),
            Verdict::Differs(what) => answer(Judgement::Differs, Some(what)),
        })
    }
}

//! Running a list of tests, and saying at the end what was not tested.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::machine;
use crate::processes;
use crate::tier::{SLOW, Tier};

/// Names the file to which is written how long each test took, in milliseconds: `SUITE/NAME MS`, a line each.
const TIMES: &str = "TEST_TIMES";

/// As much of a message, in bytes, is said again at the end.
const LONGEST_MESSAGE: usize = 1000;

/// How a test ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It holds.
    Passed,
    /// It could not be tested on this machine, for this reason.
    NotHere(String),
}

impl Done {
    /// [`Done::NotHere`] with this reason.
    pub fn not_here(reason: impl Into<String>) -> Result<Self> {
        Ok(Done::NotHere(reason.into()))
    }
}

/// A list of tests that grows.
pub struct Suite {
    trials: Vec<Trial>,
    /// How many tests of the slow tier each suite has.
    slow: BTreeMap<String, usize>,
    not_here: Arc<Mutex<Vec<String>>>,
    /// Names and messages.
    failed: Arc<Mutex<Vec<String>>>,
    times: Option<Arc<Mutex<File>>>,
}

impl Suite {
    /// An empty list.
    pub fn new() -> Result<Self> {
        let times = std::env::var_os(TIMES).map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.with_context(|| format!("{TIMES}={}", path.display()))
        });
        let times = times.transpose()?.map(|file| Arc::new(Mutex::new(file)));
        Ok(Suite {
            trials: Vec::new(),
            slow: BTreeMap::new(),
            not_here: Arc::default(),
            failed: Arc::default(),
            times,
        })
    }

    /// Adds a test that needs these of the machine, by the names of [`machine`]. It is begun only where nothing is
    /// lacking. Its name begins with its suite's and a slash.
    pub fn add(
        &mut self,
        name: String,
        needs: Vec<String>,
        test: impl FnOnce() -> Result<Done> + Send + 'static,
    ) {
        let (not_here, times) = (self.not_here.clone(), self.times.clone());
        let shown = name.clone();
        let test = move || {
            let since = Instant::now();
            let done = match machine::lacking(&needs)? {
                Some(reason) => Done::not_here(reason),
                None => test(),
            };
            processes::reap_orphans();
            if let Some(times) = times {
                let mut file = times.lock().unwrap_or_else(PoisonError::into_inner);
                writeln!(file, "{name} {}", since.elapsed().as_millis())?;
            }
            match done? {
                Done::Passed => Ok(Completion::Completed),
                Done::NotHere(reason) => {
                    let line = format!("{name}: {reason}");
                    not_here.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    Ok(Completion::ignored_with(reason))
                }
            }
        };
        let is_slow = Tier::of(&shown) == Tier::Slow;
        if is_slow {
            let suite = shown.split('/').next().unwrap_or_default();
            *self.slow.entry(suite.to_owned()).or_default() += 1;
        }
        let (failed, name) = (self.failed.clone(), shown.clone());
        let test = move || {
            test().map_err(|error: anyhow::Error| {
                let message = format!("{error:#}");
                let beginning = &message[..message.floor_char_boundary(LONGEST_MESSAGE)];
                let line = format!("{name}: {beginning}");
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                Failed::from(message)
            })
        };
        self.trials.push(Trial::ignorable_test(shown, test).with_ignored_flag(is_slow));
    }

    /// Leaves out those whose names are not wanted, and says how many are left.
    pub fn keep(&mut self, is_wanted: impl Fn(&str) -> bool) -> usize {
        self.trials.retain(|trial| is_wanted(trial.name()));
        self.trials.len()
    }

    /// Runs the tests that the command line selects.
    pub fn run(self, arguments: &Arguments) -> ExitCode {
        let is_some = |start: &str| self.trials.iter().any(|trial| trial.name().starts_with(start));
        // The suite itself may be one that is not run by this command.
        let suite = |start: &str| start.split_inclusive('/').next().unwrap_or_default().to_owned();
        let is_wrong = |start: &str| is_some(&suite(start)) && !is_some(start);
        if let Some((start, _)) = SLOW.iter().find(|(start, _)| is_wrong(start)) {
            eprintln!("of the slow tier, no test begins with {start}");
            return ExitCode::FAILURE;
        }
        let conclusion = libtest_mimic::run(arguments, self.trials);
        if arguments.list {
            return conclusion.exit_code();
        }
        let mut not_here = self.not_here.lock().unwrap_or_else(PoisonError::into_inner);
        not_here.sort();
        if !not_here.is_empty() {
            println!("not run here:");
            for line in not_here.iter() {
                println!("    {line}");
            }
            println!();
        }
        if !arguments.ignored && !arguments.include_ignored && !self.slow.is_empty() {
            let suites: Vec<_> =
                self.slow.iter().map(|(suite, count)| format!("{count} {suite}")).collect();
            println!("of the slow tier, for `cargo slow`: {}", suites.join(", "));
            println!();
        }
        // Once more, where one looks first.
        for line in self.failed.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            println!("failed: {line}\n");
        }
        conclusion.exit_code()
    }
}

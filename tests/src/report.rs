//! Running a list of tests, and saying at the end what could not be tested here.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::machine;

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
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    not_here: Arc<Mutex<Vec<String>>>,
}

impl Suite {
    /// Adds a test that needs nothing of the machine but what every one has, or finds out by itself what it lacks.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        test: impl FnOnce() -> Result<Done> + Send + 'static,
    ) {
        self.add_needing(name, Vec::new(), test);
    }

    /// Adds a test that needs these of the machine, by the names of [`machine`]. It is begun only where nothing is lacking.
    pub fn add_needing(
        &mut self,
        name: impl Into<String>,
        needs: Vec<String>,
        test: impl FnOnce() -> Result<Done> + Send + 'static,
    ) {
        let name = name.into();
        let not_here = self.not_here.clone();
        let test = move || match machine::lacking(&needs)? {
            Some(reason) => Done::not_here(reason),
            None => test(),
        };
        self.trials.push(Trial::ignorable_test(name.clone(), move || match test() {
            Ok(Done::Passed) => Ok(Completion::Completed),
            Ok(Done::NotHere(reason)) => {
                let line = format!("{name}: {reason}");
                not_here.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                Ok(Completion::ignored_with(reason))
            }
            Err(error) => Err(Failed::from(format!("{error:#}"))),
        }));
    }

    /// Runs the tests that the command line selects.
    pub fn run(self, arguments: &Arguments) -> ExitCode {
        let conclusion = libtest_mimic::run(arguments, self.trials);
        let mut not_here = self.not_here.lock().unwrap_or_else(PoisonError::into_inner);
        not_here.sort();
        if !not_here.is_empty() {
            println!("not run here:");
            for line in not_here.iter() {
                println!("    {line}");
            }
            println!();
        }
        conclusion.exit_code()
    }
}

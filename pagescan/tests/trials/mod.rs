//! Tests that need something of the machine. Where it lacks they count as not run and are listed in the end with the reason, in
//! the words in which `tests/` does it.
#![allow(dead_code)]

use std::cell::RefCell;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// The function `main` of a file with tests: each with what it needs, by which of its functions is called. `asked for` are those
/// that run only with `--ignored`.
macro_rules! trials {
    ($($name:ident: [$($need:expr),*] $($asked:ident for)?;)*) => {
        fn main() -> std::process::ExitCode {
            #[allow(unused_imports)]
            use crate::trials::Need::*;
            let trials = crate::trials::Trials::default();
            $(let trials = trials.add(
                stringify!($name),
                &[$($need),*],
                $name,
                <[&str]>::contains(&[$(stringify!($asked))?], &"asked"),
            );)*
            trials.run()
        }
    };
}

/// What a test needs of the machine.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// To be run as root.
    Root,
    /// KSM, which may be switched: it waits for others that use it.
    Ksm,
    /// That KSM can be switched for one process.
    KsmOfProcess,
    /// This file.
    File(&'static str),
    /// A program that can be run.
    Program(&'static str),
    /// A Python with this module, which TEST_PYTHON names.
    Python(&'static str),
}

impl Need {
    /// Why it is not to be had.
    fn lacking(self) -> Option<String> {
        let unless = |is_there: bool, reason: String| (!is_there).then_some(reason);
        match self {
            Self::Root => unless(is_root(), "root: not run as root".into()),
            Self::Ksm => {
                Self::Root.lacking().or_else(|| Self::File("/sys/kernel/mm/ksm/run").lacking())
            }
            Self::KsmOfProcess => {
                let state = pagescan::ksm::State::of(std::process::id());
                unless(
                    state.is_ok_and(|state| state.merge_any.is_some()),
                    "ksm: this kernel does not switch it for a process, or does not tell".into(),
                )
            }
            Self::File(path) => {
                unless(PathBuf::from(path).exists(), format!("file:{path}: not there"))
            }
            Self::Program(name) => {
                let mut command = Command::new(name);
                command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
                unless(command.status().is_ok(), format!("program:{name}: not installed"))
            }
            Self::Python(module) => {
                let has = python().is_some_and(|python| {
                    let mut command = Command::new(python);
                    command.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
                    command.status().is_ok_and(|status| status.success())
                });
                unless(
                    has,
                    format!(
                        "TEST_PYTHON does not name a Python with {module} (tests/requirements.txt)"
                    ),
                )
            }
        }
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The Python with the packages of tests/requirements.txt.
pub fn python() -> Option<PathBuf> {
    env::var_os("TEST_PYTHON").map(PathBuf::from)
}

thread_local! {
    /// What turned out to lack in the test that this thread runs.
    static PARTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Says that a part of the test that calls it is not run, and why; the rest goes on.
pub fn not_run_in_part(reason: &str) {
    PARTS.with_borrow_mut(|parts| parts.push(reason.to_owned()));
}

/// Ends the test that calls it, as one that cannot run here.
pub fn not_here(reason: &str) -> ! {
    panic::resume_unwind(Box::new(NotHere(reason.to_owned())))
}

struct NotHere(String);

/// The tests of a file.
#[derive(Default)]
pub struct Trials {
    trials: Vec<Trial>,
    not_here: Arc<Mutex<Vec<String>>>,
}

impl Trials {
    /// Adds a test.
    pub fn add(
        mut self,
        name: &'static str,
        needs: &'static [Need],
        test: fn(),
        is_asked_for: bool,
    ) -> Self {
        let trial = self.trial(name, needs, test).with_ignored_flag(is_asked_for);
        self.trials.push(trial);
        self
    }

    fn trial(&self, name: &'static str, needs: &'static [Need], test: fn()) -> Trial {
        let list = self.not_here.clone();
        let note = move |reason: &str| {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            list.push(format!("{name}: {reason}"));
        };
        Trial::ignorable_test(name, move || {
            if let Some(reason) = needs.iter().find_map(|need| need.lacking()) {
                note(&reason);
                return Ok(Completion::ignored_with(reason));
            }
            PARTS.take();
            let ended = panic::catch_unwind(AssertUnwindSafe(test));
            for part in PARTS.take() {
                note(&format!("in part: {part}"));
            }
            match ended.map_err(|why| why.downcast::<NotHere>()) {
                Ok(()) => Ok(Completion::Completed),
                Err(Ok(why)) => {
                    note(&why.0);
                    Ok(Completion::ignored_with(why.0))
                }
                Err(Err(why)) => Err(failed(&*why)),
            }
        })
    }

    /// Runs those that the command line selects.
    pub fn run(self) -> ExitCode {
        let arguments = Arguments::from_args();
        no_longer_merged();
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        let mut list = self.not_here.lock().unwrap_or_else(PoisonError::into_inner);
        list.sort();
        if !list.is_empty() && !arguments.list {
            println!("not run here:");
            list.iter().for_each(|line| println!("    {line}"));
            println!();
        }
        conclusion.exit_code()
    }
}

/// What it was started by may have had KSM switched on, which this process and all that it starts would have inherited.
fn no_longer_merged() {
    const SET_MEMORY_MERGE: i32 = 67;
    let none: libc::c_ulong = 0;
    // SAFETY: five numbers; the kernel reads and writes no memory of this process's. An older one knows no such switch.
    unsafe { libc::prctl(SET_MEMORY_MERGE, none, none, none, none) };
}

/// The words of a panic, which have been printed with the place already.
fn failed(why: &(dyn std::any::Any + Send)) -> Failed {
    let words = why.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("it panicked").into()
}

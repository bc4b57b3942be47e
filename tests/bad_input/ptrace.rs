//! Machines on which a process may not be traced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits, Outcome};
use statify_tests::tracer::step_by_syscall;

use crate::bad_input::attempt::{Listing, finish, matches, sentence, start, statify};
use crate::bad_input::inputs::plain;

/// ptrace(2) and errno(3) on x86-64.
const PTRACE: i64 = 101;
const EPERM: u32 = 1;

pub fn add(cases: &mut Cases) {
    cases.check("ptrace/forbidden-by-a-filter", forbidden);
    cases.check("ptrace/traced-already", traced_already);
}

/// As in a container whose seccomp profile has no ptrace.
fn forbidden(case: &Case) -> Result<()> {
    let program = plain(case)?;
    let outcome = without_ptrace(case, &mut statify(case, &program, &[]))?;
    matches(&sentence(&outcome)?, &["ptrace|trace", "permit|permission|container|allowed"])
}

/// Runs a command that may not call ptrace(2), and that must leave the case's directory as it is.
pub fn without_ptrace(case: &Case, command: &mut Command) -> Result<Outcome> {
    let before = Listing::of(&case.dir)?;
    let rules = BTreeMap::from([(PTRACE, Vec::new())]);
    let denied = SeccompAction::Errno(EPERM);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, TargetArch::x86_64)?;
    let filter = BpfProgram::try_from(filter)?;
    // The filter is the thread's, is inherited, and goes away with the thread.
    let outcome = thread::scope(|scope| {
        let confined = scope.spawn(|| {
            seccompiler::apply_filter(&filter)?;
            finish(case, start(case, command, Limits::seconds(30))?)
        });
        confined.join().map_err(|_| anyhow::anyhow!("the confined thread panicked"))?
    })?;
    Listing::of(&case.dir)?.must_equal(&before)?;
    Ok(outcome)
}

/// A program whose children are traced by another cannot trace them.
fn traced_already(case: &Case) -> Result<()> {
    let program = plain(case)?;
    let said = case.dir.join("said");
    let file = File::create(&said)?;
    let mut command = statify(case, &program, &[]);
    command.current_dir(&case.dir).stdout(file.try_clone()?).stderr(file);
    let end = step_by_syscall(&mut command, Duration::from_secs(60), |_| Ok(()))?;
    let message = fs::read_to_string(&said)?;
    ensure!(end == End::Exit(1), "{end}: {message}");
    ensure!(message.starts_with("statify: ") && message.lines().count() == 1, "{message:?}");
    matches(&message, &["traced"])?;
    let names: Vec<_> = fs::read_dir(&case.dir)?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(names.len() == 2, "more than the program and its message: {names:?}");
    Ok(())
}

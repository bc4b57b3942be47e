//! Signals that come while a conversion waits for a loader that hangs.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use statify_tests::case::{Case, Cases};
use statify_tests::process::{End, Limits, Outcome};
use statify_tests::processes;

use crate::bad_input::attempt::{Listing, finish, matches, sentence, start, statify};
use crate::bad_input::loaders::resolver;

pub fn add(cases: &mut Cases) {
    // A terminal sends it to the whole process group.
    for (name, signal, group) in [
        ("interrupted/terminal", Signal::SIGINT, true),
        ("interrupted/interrupt", Signal::SIGINT, false),
        ("interrupted/terminate", Signal::SIGTERM, false),
        ("interrupted/hang-up", Signal::SIGHUP, false),
    ] {
        cases.check(name, move |case| {
            let program = resolver(case, "SPIN")?;
            let before = Listing::of(&case.dir)?;
            let outcome = send(case, &mut hanging(case, &program), &program, signal, group)?;
            Listing::of(&case.dir)?.must_equal(&before)?;
            matches(&sentence(&outcome)?, &["interrupted|signal"])
        });
    }
    cases.check("interrupted/kill", |case| {
        let program = resolver(case, "SPIN")?;
        let outcome = send(case, &mut hanging(case, &program), &program, Signal::SIGKILL, false)?;
        ensure!(outcome.end == End::Signal(Signal::SIGKILL), "{}", outcome.end);
        ensure!(!case.dir.join("out").exists(), "OUT was written");
        Ok(())
    });
}

fn hanging(case: &Case, program: &Path) -> Command {
    statify(case, program, &["--timeout", "60"])
}

/// Sends `signal` to `command` as soon as it has started `program`.
pub fn send(
    case: &Case,
    command: &mut Command,
    program: &Path,
    signal: Signal,
    group: bool,
) -> Result<Outcome> {
    let running = start(case, command, Limits::seconds(20))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    // The traced program: it runs the case's file.
    while processes::running(program).is_empty() {
        ensure!(Instant::now() < deadline, "statify started nothing");
        thread::sleep(Duration::from_millis(5));
    }
    // Into its resolver, past what comes before.
    thread::sleep(Duration::from_millis(200));
    match group {
        true => killpg(running.pid(), signal)?,
        false => kill(running.pid(), signal)?,
    }
    let sent = Instant::now();
    let outcome = finish(case, running)?;
    ensure!(sent.elapsed() < Duration::from_secs(3), "it took {:?} to stop", sent.elapsed());
    Ok(outcome)
}

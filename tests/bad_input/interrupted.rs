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
    cases.check("interrupted/at-any-time", at_any_time);
    cases.check("interrupted/ignored", ignored);
    cases.check("interrupted/kill", |case| {
        let program = resolver(case, "SPIN")?;
        let outcome = send(case, &mut hanging(case, &program), &program, Signal::SIGKILL, false)?;
        ensure!(outcome.end == End::Signal(Signal::SIGKILL), "{}", outcome.end);
        ensure!(!case.dir.join("out").exists(), "OUT was written");
        Ok(())
    });
}

/// Whenever it comes, it is what ends statify, which says so and nothing else, though the traced program gets it too.
fn at_any_time(case: &Case) -> Result<()> {
    const STEP: Duration = Duration::from_millis(2);
    const STEPS: u32 = 50;
    let program = resolver(case, "SPIN")?;
    let before = Listing::of(&case.dir)?;
    for step in 0..STEPS {
        let running = start(case, &mut hanging(case, &program), Limits::seconds(20))?;
        thread::sleep(STEP * step);
        killpg(running.pid(), Signal::SIGINT)?;
        let outcome = finish(case, running)?;
        // Before it has looked at its arguments, it is as any process.
        if outcome.end != End::Signal(Signal::SIGINT) {
            matches(&sentence(&outcome)?, &["interrupted"])?;
        }
        Listing::of(&case.dir)?.must_equal(&before)?;
    }
    Ok(())
}

/// What statify was started to ignore, as nohup(1) does, does not end it.
fn ignored(case: &Case) -> Result<()> {
    let program = resolver(case, "SPIN")?;
    let wrapped = statify(case, &program, &["--timeout", "2"]);
    let mut command = case.command("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command.arg(wrapped.get_program()).args(wrapped.get_args());
    let running = start(case, &mut command, Limits::seconds(20))?;
    wait_for(&program)?;
    kill(running.pid(), Signal::SIGHUP)?;
    matches(&sentence(&finish(case, running)?)?, &["--timeout"])
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
    wait_for(program)?;
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

/// Until the traced program runs the case's file.
fn wait_for(program: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while processes::running(program).is_empty() {
        ensure!(Instant::now() < deadline, "statify started nothing");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

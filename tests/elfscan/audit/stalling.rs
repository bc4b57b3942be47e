//! Processes that make themselves hard to look at: the audit ends all the same, soon, and says so.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use statify_tests::case::{Case, Cases};

use super::waiting::{Waiting, alarms, audit};

/// What they do. Each is audited in the time that it is given, or refused.
const WAYS: [&str; 6] = ["mappings", "circle", "long", "sparse", "changing", "modules"];
/// What an audit may take, in seconds, and what is allowed for around it on a busy machine.
const LIMIT: u64 = 20;
const AROUND: Duration = Duration::from_secs(50);

pub fn add(cases: &mut Cases) {
    for way in WAYS {
        cases.check(&format!("audit/stalling-by-{way}"), move |case| {
            let program = case.build("stalls", "stalls", &["-pthread"])?;
            let file = case.dir.join("sparse");
            let waiting = Waiting::start(case.command(&program).arg(way).arg(file))?;
            let report = in_time(&waiting)?;
            // A list that does not end is as good as tampering.
            let found = alarms(&report).map_or(0, Vec::len);
            ensure!(found == 0 || matches!(way, "circle" | "long"), "{report:#}");
            Ok(())
        });
    }
    cases.check("audit/a-stopped-process", |case| {
        let program = case.build("tampered", "tampered", &["-Wl,-z,relro,-z,now"])?;
        let waiting = Waiting::start(case.command(&program).arg("slot"))?;
        kill(Pid::from_raw(waiting.pid().parse()?), Signal::SIGSTOP)?;
        let report = in_time(&waiting)?;
        ensure!(alarms(&report)?.len() == 1, "{report:#}");
        Ok(())
    });
    cases.check("audit/what-takes-too-long-is-ended", too_long);
}

/// What the audit answers, which it does in time.
fn in_time(waiting: &Waiting) -> Result<Value> {
    let started = Instant::now();
    let limit = format!("--timeout={LIMIT}");
    let (report, _) = audit(&[waiting.pid()], &[&limit])?;
    let elapsed = started.elapsed();
    ensure!(elapsed < Duration::from_secs(LIMIT) + AROUND, "{elapsed:?}");
    Ok(report)
}

/// Code on a file system that does not answer: a FUSE mount without a server would take a mount; a
/// process that audits and is stopped itself does the same to the one that waits for it.
fn too_long(case: &Case) -> Result<()> {
    let program = case.build("stalls", "stalls", &["-pthread"])?;
    let waiting = Waiting::start(&mut case.command(&program))?;
    let mut command = crate::elfscan::tool::elfscan(["audit", "--timeout=2", &waiting.pid()])?;
    let started = Instant::now();
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let stopped = stop_child(child.id(), started)?;
    let status = child.wait()?;
    ensure!(started.elapsed() < Duration::from_secs(2) + AROUND, "{:?}", started.elapsed());
    // It may have been done before it was stopped.
    ensure!(!stopped || status.code() == Some(1), "{status}");
    Ok(())
}

/// Stops the process that a process started, once there is one; false if the latter ended first.
fn stop_child(pid: u32, started: Instant) -> Result<bool> {
    let list = format!("/proc/{pid}/task/{pid}/children");
    while started.elapsed() < AROUND {
        let Ok(_) = std::fs::metadata(&list) else { return Ok(false) };
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"))?;
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            let first = children.unwrap_or_default();
            if let Some(child) = first.split_whitespace().next() {
                // Before it has been executed, it is the other one's memory that it stops in.
                let arguments = std::fs::read_to_string(format!("/proc/{child}/cmdline"));
                if !arguments.unwrap_or_default().contains("--apart") {
                    continue;
                }
                return Ok(kill(Pid::from_raw(child.parse()?), Signal::SIGSTOP).is_ok());
            }
        }
    }
    Ok(false)
}

//! One boot: the initial file system made, QEMU run under a time limit, its results read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use statify_init::plan::{Facts, Line, Plan, Round, from_hex};
use statify_tests::compare::{against_directives, against_each_other, normalise};
use statify_tests::process::{self, End, Limits, Outcome};
use statify_vm::{Accelerator, Kind, Machine, Serial};

use crate::boots::Boot;
use crate::exceptions;
use crate::fixtures::Case;
use crate::images::Image;
use crate::initramfs::{self, Tools};
use crate::table::Cell;

/// Boots of a kernel that does not come to process 1: Linux 6.12 under QEMU 7.2 does so now and then.
const ATTEMPTS: u32 = 4;
/// Memory of the machine beyond what the initial file system takes twice, in MiB. A fixture has
/// data of 3 GiB, which takes none of it but must be possible.
const MEMORY: u64 = 3584;

/// Boots `image` and runs `cases`.
pub fn boot(
    image: &Image,
    boot: &Boot,
    cases: &[&Case],
    tools: &Tools,
    scratch: &Path,
    seconds: u64,
) -> Result<Cell> {
    let (plan, places) = plan(boot, cases);
    let archive = scratch.join("initramfs");
    let (console, results) = (scratch.join("console"), scratch.join("results"));
    initramfs::write(&archive, tools, &plan, cases)?;
    let size = fs::metadata(&archive)?.len() >> 20;
    let machine = Machine {
        kind: Kind::HERE,
        accelerator: Accelerator::Software,
        cpu: boot.cpu.into(),
        cpus: 1,
        memory: MEMORY + 2 * size,
        mergeable: false,
        kernel: image.path.clone(),
        initial_files: Some(archive.clone()),
        parameters: format!("rdinit=/init {}", boot.parameters),
        serial: vec![Serial::File(console.clone()), Serial::File(results.clone())],
        disks: Vec::new(),
        monitor: None,
    };
    let mut command = machine.command()?;
    let limits = Limits { time: Duration::from_secs(seconds), output: 1 << 16 };
    let mut attempt = 1;
    let outcome = loop {
        for file in [&console, &results] {
            fs::write(file, "")?;
        }
        let outcome = process::run(&mut command, b"", limits)?;
        // A crash before process 1 says its first word is the emulator's or the kernel's own.
        if attempt == ATTEMPTS || fs::metadata(&results)?.len() > 0 {
            break outcome;
        }
        eprintln!("{} {}: stopped before process 1, once more", image.release, boot.name);
        attempt += 1;
    };
    fs::remove_file(&archive)?;
    let mut cell = judge(&image.release, boot, cases, &plan, &places, &fs::read(&results)?);
    if !cell.complete {
        let console = fs::read(&console)?;
        let tail = &console[console.len().saturating_sub(2048)..];
        cell.messages.push(format!(
            "the machine stopped early ({}): {}\n{}",
            outcome.end,
            outcome.stderr_text().trim(),
            String::from_utf8_lossy(tail)
        ));
    }
    Ok(cell)
}

/// The plan, and for each of its jobs the case and the run.
fn plan(boot: &Boot, cases: &[&Case]) -> (Plan, Vec<(usize, usize)>) {
    let places: Vec<(usize, usize)> = cases
        .iter()
        .enumerate()
        .flat_map(|(case, of)| (0..of.runs.len()).map(move |run| (case, run)))
        .collect();
    let jobs: Vec<_> = places.iter().map(|&(case, run)| cases[case].runs[run].0.clone()).collect();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let rounds = boot.circumstances.iter().map(|circumstance| Round {
        name: circumstance.name.into(),
        sysctls: circumstance.sysctls.iter().map(owned).collect(),
        stack: circumstance.stack,
        jobs: (0..jobs.len()).collect(),
    });
    (Plan { rounds: rounds.collect(), jobs }, places)
}

/// Holds the results against what they should be.
fn judge(
    release: &str,
    boot: &Boot,
    cases: &[&Case],
    plan: &Plan,
    places: &[(usize, usize)],
    results: &[u8],
) -> Cell {
    let mut cell = Cell::default();
    let mut wrong: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    let mut done = BTreeMap::new();
    let mut facts: Option<Facts> = None;
    for line in results.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Line::Facts(found)) => facts = Some(found),
            Ok(Line::Trouble(what)) => cell.messages.push(what),
            Ok(Line::Done) => cell.complete = true,
            Ok(Line::Ran { round, job, end, stdout, stderr }) => {
                let Some((case, run)) = places.get(job).copied() else { continue };
                let outcome = outcome(&end, &stdout, &stderr);
                let found = outcome.map_or_else(
                    || vec![format!("unreadable: {end}")],
                    |outcome| compare(release, cases[case], run, outcome),
                );
                wrong.entry((round, case)).or_default().extend(found);
                *done.entry((round, case)).or_insert(0) += 1;
            }
            // Cut off when the machine stopped.
            Err(_) => {}
        }
    }
    cell.in_effect = facts.as_ref().is_none_or(boot.in_effect);
    for (round, of) in plan.rounds.iter().enumerate() {
        for (place, case) in cases.iter().enumerate() {
            let all = done.get(&(round, place)) == Some(&case.runs.len());
            let wrong = wrong.remove(&(round, place)).unwrap_or_default();
            if all && wrong.is_empty() {
                cell.passed += 1;
                continue;
            }
            if let Some(exception) =
                exceptions::find(&case.name, release).filter(|e| all && !e.ends_well)
            {
                cell.excused.insert(exception.fixture);
                continue;
            }
            cell.failed += 1;
            let what = if all { wrong.join("\n    ") } else { "it did not come to its end".into() };
            let name = format!("{} {}", case.name, of.name);
            cell.messages.push(format!("{}: {what}", name.trim_end()));
        }
    }
    cell
}

fn outcome(end: &str, stdout: &str, stderr: &str) -> Option<Outcome> {
    let (kind, number) = end.split_once(' ').unwrap_or((end, "0"));
    let number: i32 = number.parse().ok()?;
    let end = match kind {
        "exit" => End::Exit(number),
        "signal" => End::Signal(Signal::try_from(number).ok()?),
        _ => End::TimedOut,
    };
    Some(Outcome {
        end,
        stdout: from_hex(stdout)?,
        stderr: from_hex(stderr)?,
        time: Duration::ZERO,
    })
}

fn compare(release: &str, case: &Case, run: usize, mut outcome: Outcome) -> Vec<String> {
    outcome.stdout = normalise(&outcome.stdout, &case.converted, "$EXE");
    outcome.stderr = normalise(&outcome.stderr, &case.converted, "$EXE");
    let mut wrong = against_directives(&outcome, &case.fixture);
    let exception = exceptions::find(&case.name, release);
    if case.fixture.varies.is_none() && exception.is_none_or(|exception| !exception.ends_well) {
        wrong.extend(against_each_other(&case.runs[run].1, &outcome));
    }
    wrong
}

//! Two guests with a balloon each, of equal contents: what KSM has merged after which time, for several numbers of pages that it
//! looks at before it sleeps (Figure 5.3 of the second paper).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pagescan::share::By;
use serde::Serialize;
use serde_json::json;
use statify_vm::Archive;

use crate::chart;
use crate::guest::{self, Guest, Plan};
use crate::look::{Eye, classes};
use crate::merging::{Merging, Pace, cpu_time};
use crate::report::{Outcome, Unit};

const PROGRAM: &str = include_str!("balloon.c");
/// Of a guest, in MiB.
const MEMORY: u64 = 128;
/// Of a balloon, in MiB.
const BALLOON: u64 = 64;
/// Pages that are looked at before KSM sleeps: the paper's, and whether those are left out that were like no other before, which
/// the paper's kernel did not.
const SETTINGS: [(u64, bool); 4] = [(200, false), (500, false), (1000, false), (1000, true)];
const SLEEP_MILLISECS: u64 = 200;
/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// No setting gets longer, and none more passes over all pages.
const MOST: Duration = Duration::from_secs(180);
const PASSES: u64 = 6;

/// A moment.
#[derive(Clone, Copy, Debug, Serialize)]
struct Moment {
    seconds: f64,
    pages_to_scan: u64,
    smart_scan: bool,
    /// Frames that could be saved, with those that are.
    savable: u64,
    /// Frames that KSM saves.
    merged: u64,
}

/// The experiment.
pub fn run(eye: &Eye, scratch: &Path, outcome: &mut Outcome) -> Result<()> {
    let plan = Plan {
        kernel: guest::kernel()?,
        initial_files: Some(initial_files(scratch)?),
        disk: None,
        memory: MEMORY,
        parameters: format!("balloon={BALLOON}"),
        merge: true,
    };
    let mut guests = [Guest::start(&plan, scratch)?, Guest::start(&plan, scratch)?];
    for guest in &mut guests {
        guest.hear("balloon ready")?;
    }
    let pids = [guests[0].pid(), guests[1].pid()];
    let begun = Instant::now();
    let look = |(pages_to_scan, smart_scan): (u64, bool)| -> Result<Moment> {
        let seconds = begun.elapsed().as_secs_f64();
        let answer = classes(&[&eye.guests(&pids, MEMORY)?], By::Guest)?;
        let merged = answer.ksm.saved;
        let savable = answer.savable.at_most + merged;
        Ok(Moment { seconds, pages_to_scan, smart_scan, savable, merged })
    };
    let mut moments = vec![look((0, false))?];
    let merging = Merging::take(scratch)?;
    let mut settled = Vec::new();
    for (number, setting) in SETTINGS.into_iter().enumerate() {
        // One after the other, so that all of both differs in between: the negative peak.
        for guest in &mut guests {
            guest.say(&(number + 1).to_string())?;
            guest.hear(&format!("balloon holds {}", number + 1))?;
            moments.push(look(setting)?);
        }
        let (pages_to_scan, smart_scan) = setting;
        merging.on(Pace { pages_to_scan, sleep_millisecs: SLEEP_MILLISECS, smart_scan })?;
        let (filled, used, passes) = (Instant::now(), cpu_time()?, merging.passes());
        let (first, since) = (moments.len(), begun.elapsed().as_secs_f64());
        while filled.elapsed() < MOST && merging.passes() < passes + PASSES {
            thread::sleep(PERIOD);
            let moment = look(setting)?;
            moments.push(moment);
            if moment.merged * 100 >= moment.savable * 99 {
                break;
            }
        }
        let share = (cpu_time()? - used).as_secs_f64() / filled.elapsed().as_secs_f64();
        settled.push((setting, since, share, moments[first..].to_vec()));
    }
    drop(merging);
    drop(guests);

    outcome.note(format!(
        "Two guests of {MEMORY} MiB, each with a balloon of {BALLOON} MiB; KSM sleeps {SLEEP_MILLISECS} ms between rounds, as in the paper. A setting ends when 99% are merged, or after {PASSES} passes over all pages. Before each setting the balloons get new contents, one after the other."
    ));
    for ((pages_to_scan, smart_scan), since, share, moments) in &settled {
        let last = moments.last().context("no moment")?;
        let paper = (*pages_to_scan == 200).then_some("more than 60 s for 245 MB");
        let when = |hundredths: u64| {
            let is_there = |moment: &&Moment| moment.merged * 100 >= last.merged * hundredths;
            moments.iter().find(is_there).map_or(f64::NAN, |moment| moment.seconds - since)
        };
        let smart = if *smart_scan { ", smart_scan" } else { "" };
        let name = format!("{pages_to_scan} pages a round{smart}");
        outcome.line(format!("{name}: savable at most"), last.savable as f64, Unit::Pages, None);
        outcome.line(format!("{name}: merged in the end"), last.merged as f64, Unit::Pages, None);
        outcome.line(format!("{name}: half of that after"), when(50), Unit::Seconds, None);
        outcome.line(format!("{name}: 99% of that after"), when(99), Unit::Seconds, paper);
        outcome.line(format!("{name}: CPU of KSM"), share * 100.0, Unit::Percent, None);
    }
    let least = moments[1..].iter().map(|moment| moment.savable).min().unwrap_or(0);
    outcome.line("savable while contents change, at the least", least as f64, Unit::Pages, None);
    let line = |name: &str, value: fn(&Moment) -> u64| {
        let points =
            moments.iter().map(|moment| (moment.seconds, value(moment) as f64 * 4096.0 / 1e6));
        (name.to_owned(), points.collect())
    };
    let lines =
        [line("savable at most", |moment| moment.savable), line("merged", |moment| moment.merged)];
    let title = "Two balloons, MB: 200, 500, 1000 pages each 200 ms, and 1000 with smart_scan";
    outcome.charts.push(("balloon", chart::over_time(title, &lines)?));
    outcome.details = json!({ "moments": moments });
    Ok(())
}

/// An initial file system that has the balloon only.
fn initial_files(scratch: &Path) -> Result<PathBuf> {
    let [source, program, files] =
        ["balloon.c", "balloon", "balloon.cpio"].map(|name| scratch.join(name));
    std::fs::write(&source, PROGRAM)?;
    let mut command = Command::new("cc");
    command.args(["-O2", "-static", "-o"]).arg(&program).arg(&source);
    ensure!(command.status().context("cc")?.success(), "the balloon does not compile");
    let mut archive = Archive::create(&files)?;
    archive.file(Path::new("/init"), &program)?;
    archive.finish()?;
    Ok(files)
}

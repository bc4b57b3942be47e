//! A guest with normal and one with converted programs: memory after the boot, and during it, without and with KSM (Figures 1
//! and 2 of the first paper).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pagescan::watch::{Kernel, Observer, Sample};
use serde_json::json;

use crate::chart;
use crate::disk::{self, Wanted};
use crate::guest::{self, Guest, Plan};
use crate::look::{Eye, Frames};
use crate::merging::{Merging, Pace};
use crate::report::{Outcome, Unit, ratio};

/// Of a guest, in MiB.
const MEMORY: u64 = 256;
/// Between two looks.
const PERIOD: Duration = Duration::from_millis(500);
/// A boot takes no longer.
const LONGEST: Duration = Duration::from_secs(240);
const PASSES: u64 = 5;
const MOST: Duration = Duration::from_secs(60);

/// What was found of a boot.
struct Boot {
    name: String,
    frames: Frames,
    seconds: f64,
    trace: Vec<(f64, Frames)>,
    samples: Vec<Sample>,
}

/// The experiment.
pub fn run(eye: &Eye, scratch: &Path, outcome: &mut Outcome) -> Result<()> {
    let kernel = guest::kernel()?;
    let mut boots = Vec::new();
    let mut count = 0;
    for (name, converted) in [("normal", false), ("converted", true)] {
        let wanted = Wanted { converted, data: &[], more: &[], start: true };
        let (image, processes) = disk::make(name, &wanted, scratch)?;
        count = processes;
        for merge in [false, true] {
            let name = format!("{name}{}", if merge { " with KSM" } else { "" });
            boots.push(boot(eye, name, &kernel, &image, merge, scratch)?);
        }
    }
    outcome.note(format!(
        "A guest of {MEMORY} MiB that has started {count} processes of nine programs and waits. Frames are those of its memory that hold something else than zeros."
    ));
    let [normal, normal_ksm, converted, converted_ksm] = &boots[..] else { return Ok(()) };
    for (boot, paper, unmerged) in [
        (normal, "32,706", None),
        (normal_ksm, "30,410", Some("29,928")),
        (converted, "86,506", None),
        (converted_ksm, "29,732", Some("25,219")),
    ] {
        let name = &boot.name;
        outcome.line(
            format!("{name}: frames"),
            boot.frames.filled() as f64,
            Unit::Pages,
            Some(paper),
        );
        if unmerged.is_some() {
            let alone = boot.frames.filled().saturating_sub(boot.frames.ksm);
            outcome.line(
                format!("{name}: of these not merged"),
                alone as f64,
                Unit::Pages,
                unmerged,
            );
        }
        outcome.line(
            format!("{name}: with those of zeros"),
            boot.frames.all as f64,
            Unit::Pages,
            None,
        );
        outcome.line(format!("{name}: from start to rest"), boot.seconds, Unit::Seconds, None);
    }
    let quotient = |over: &Boot, under: &Boot| ratio(over.frames.filled(), under.frames.filled());
    outcome.line("converted / normal", quotient(converted, normal), Unit::Ratio, Some("2.64"));
    outcome.line(
        "converted / normal with KSM",
        quotient(converted_ksm, normal_ksm),
        Unit::Ratio,
        Some("0.978"),
    );
    let line = |boot: &Boot| {
        let mega = |frames: &Frames| frames.filled() as f64 * 4096.0 / 1e6;
        let points = boot.trace.iter().map(|(seconds, frames)| (*seconds, mega(frames)));
        (boot.name.clone(), points.collect())
    };
    let lines: Vec<_> = boots.iter().map(line).collect();
    outcome.charts.push(("boot", chart::over_time("Memory of a guest that boots, MB", &lines)?));
    outcome.details = boots
        .iter()
        .map(|boot| {
            json!({
                "name": boot.name, "frames": boot.frames, "seconds": boot.seconds,
                "trace": boot.trace, "samples": boot.samples,
            })
        })
        .collect();
    Ok(())
}

fn boot(
    eye: &Eye,
    name: String,
    kernel: &Path,
    image: &Path,
    merge: bool,
    scratch: &Path,
) -> Result<Boot> {
    let plan = Plan {
        kernel: kernel.to_owned(),
        initial_files: None,
        disk: Some(PathBuf::from(image)),
        memory: MEMORY,
        parameters: String::new(),
        merge,
    };
    let merging = if merge { Some(Merging::take(scratch)?) } else { None };
    if let Some(merging) = &merging {
        merging.on(Pace::BRISK)?;
    }
    let begun = Instant::now();
    let mut guest = Guest::start(&plan, scratch)?;
    let pid = guest.pid();
    let mut observer = Observer::new(Kernel::default());
    let (mut trace, mut samples) = (Vec::new(), Vec::new());
    let mut look = || -> Result<()> {
        // Before it has memory there is nothing to see.
        let Ok(snapshot) = eye.guests(&[pid], MEMORY) else { return Ok(()) };
        trace.push((begun.elapsed().as_secs_f64(), Frames::of(&snapshot)));
        samples.push(observer.see(snapshot)?);
        Ok(())
    };
    while !guest.says("the guest is at rest", PERIOD)? {
        ensure!(begun.elapsed() < LONGEST, "the guest does not come to rest");
        look()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    if let Some(merging) = &merging {
        merging.wait(PASSES, MOST);
    }
    look()?;
    let frames = Frames::of(&eye.guests(&[pid], MEMORY)?);
    drop(guest);
    drop(merging);
    Ok(Boot { name, frames, seconds, trace, samples })
}

//! What guests have read against the host's page cache, which has it as well: Figures 5.9, 5.10 and 5.13 of the second paper;
//! and duplicates within the page cache (Figure 5.14).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use pagescan::scan::Target;
use pagescan::share::{Answer, By};
use serde::Serialize;
use serde_json::json;

use crate::chart;
use crate::disk::{self, Wanted};
use crate::forget::forget;
use crate::guest::{self, Guest, Plan};
use crate::look::{Eye, classes};
use crate::merging::{Merging, Pace};
use crate::report::{Outcome, Unit};

/// Of a guest, in MiB.
const MEMORY: u64 = 256;
/// Files that are read one after another, and the size of each in bytes.
const PARTS: usize = 4;
const PART: usize = 24 << 20;
const PASSES: u64 = 5;
const MOST: Duration = Duration::from_secs(60);

/// What was seen after a file was read. Numbers of pages and frames.
#[derive(Clone, Debug, Serialize)]
struct Moment {
    after: String,
    cache: u64,
    guests: u64,
    /// Frames that would be saved if page cache and guests had equal pages once.
    with_cache: u64,
    /// The same between both guests.
    between_guests: u64,
    /// Frames that KSM saves.
    merged: u64,
}

/// The experiment.
pub fn run(eye: &Eye, scratch: &Path, outcome: &mut Outcome) -> Result<()> {
    let data: Vec<_> = (0..PARTS as u64).map(made_up).collect();
    let wanted = Wanted { converted: false, data: &data, more: &[], start: false };
    let (image, _) = disk::make("cache", &wanted, scratch)?;
    drop(data);
    forget(&image)?;
    let plan = Plan {
        kernel: guest::kernel()?,
        initial_files: None,
        disk: Some(image),
        memory: MEMORY,
        parameters: String::new(),
        merge: true,
    };
    let mut guests = [Guest::start(&plan, scratch)?, Guest::start(&plan, scratch)?];
    for guest in &mut guests {
        guest.hear("the guest is at rest")?;
    }
    let pids = [guests[0].pid(), guests[1].pid()];
    let cached = eye.see(&Target::Cache)?;
    let alone = classes(&[&cached], By::Guest)?;
    drop(cached);
    let look = |after: &str| -> Result<Moment> {
        let (cache, guests) = (eye.see(&Target::Cache)?, eye.guests(&pids, MEMORY)?);
        moment(after, &classes(&[&cache, &guests], By::Guest)?)
    };
    let mut moments = vec![look("the boot")?];
    for part in 0..PARTS {
        read(&mut guests[0], &part.to_string())?;
        moments.push(look(&format!("{} MiB read by one", ((part + 1) * PART) >> 20))?);
    }
    let all: Vec<_> = (0..PARTS).map(|part| part.to_string()).collect();
    read(&mut guests[1], &all.join(" "))?;
    moments.push(look(&format!("{} MiB read by both", (PARTS * PART) >> 20))?);
    let merging = Merging::take(scratch)?;
    merging.on(Pace::FAST)?;
    merging.wait(PASSES, MOST);
    moments.push(look("KSM has merged")?);
    drop(guests);
    drop(merging);

    outcome.note(format!(
        "Two guests of {MEMORY} MiB on one disk, whose image the host has not cached. One reads {PARTS} files of {} MiB, then the other. Then KSM is switched on.",
        PART >> 20
    ));
    // What one has read of some of the files is in the chart.
    let partial = 1..PARTS;
    let told = moments.iter().enumerate().filter(|(index, _)| !partial.contains(index));
    for (_, moment) in told {
        let name = format!("after {}", moment.after);
        for (text, value) in [
            ("page cache of the host", moment.cache),
            ("memory of both guests", moment.guests),
            ("equal between page cache and guests", moment.with_cache),
            ("equal between the guests", moment.between_guests),
        ] {
            outcome.line(format!("{name}: {text}"), value as f64, Unit::Pages, None);
        }
    }
    let merged = moments.last().context("no moment")?;
    let before = &moments[moments.len() - 2];
    outcome.line("saved by KSM", merged.merged as f64, Unit::Pages, None);
    let left = merged.with_cache as f64 / before.with_cache as f64;
    outcome.line(
        "equal between page cache and guests, left by KSM",
        left * 100.0,
        Unit::Percent,
        Some("KSM is unable to merge these"),
    );
    let duplicates = alone.savable.at_most as f64 / alone.classes.all().frames as f64;
    outcome.line(
        "duplicates within the page cache",
        duplicates * 100.0,
        Unit::Percent,
        Some("9.53% (during a kernel's build)"),
    );
    outcome.charts.push(("cache", drawn(&moments)?));
    outcome.details = json!({ "moments": moments, "cache": alone.savable });
    Ok(())
}

fn read(guest: &mut Guest, parts: &str) -> Result<()> {
    guest.say(&format!("part {parts}"))?;
    guest.hear(&format!("read: {parts}\\."))
}

fn moment(after: &str, answer: &Answer) -> Result<Moment> {
    let domain = |name: &str| answer.domains.iter().position(|domain| domain.name == name);
    let cache = domain("page cache").context("there is no page cache")?;
    let could = |is_cache: bool| {
        let pairs = answer.matrix.pairs.iter().filter(|pair| pair.a != pair.b);
        let pairs = pairs.filter(|pair| (pair.a == cache || pair.b == cache) == is_cache);
        pairs.map(|pair| pair.could).sum()
    };
    let frames = |is_cache: bool| {
        let domains = answer.domains.iter().enumerate();
        domains
            .filter(|(index, _)| (*index == cache) == is_cache)
            .map(|(_, domain)| domain.count.frames)
            .sum()
    };
    Ok(Moment {
        after: after.to_owned(),
        cache: frames(true),
        guests: frames(false),
        with_cache: could(true),
        between_guests: could(false),
        merged: answer.ksm.saved,
    })
}

/// Numbers of moments stand for time.
fn drawn(moments: &[Moment]) -> Result<String> {
    let line = |name: &str, value: fn(&Moment) -> u64| {
        let points = moments.iter().enumerate();
        let points =
            points.map(|(index, moment)| (index as f64, value(moment) as f64 * 4096.0 / 1e6));
        (name.to_owned(), points.collect())
    };
    let lines = [
        line("guests", |moment| moment.guests),
        line("equal between page cache and guests", |moment| moment.with_cache),
        line("equal between the guests", |moment| moment.between_guests),
        line("merged", |moment| moment.merged),
    ];
    chart::over_time("Guests that read and the host's page cache, MB", &lines)
}

/// Contents that are nowhere else.
fn made_up(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x5eed).wrapping_mul(0x9e3779b97f4a7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 32) as u32
    };
    std::iter::repeat_with(next).take(PART / 4).flat_map(u32::to_le_bytes).collect()
}

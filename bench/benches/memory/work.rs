//! Two guests that do the same work, watched.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use pagescan::share::By;
use pagescan::watch::{Kernel, Observer, Survival};
use serde::Serialize;

use crate::guest::{self, Guest, Plan};
use crate::look::{Eye, classes};
use crate::merging::{Merging, Pace};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// What is not watched: work begins, and guests fill.
const BEGINNING: Duration = Duration::from_secs(10);

/// A moment. Numbers of frames.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Moment {
    /// Since watching began.
    pub seconds: f64,
    /// That hold something else than zeros, as many as there were without KSM.
    pub filled: u64,
    /// Of these, those that could be saved, with those that are.
    pub savable: u64,
    /// Of these, those whose equals are in the same guest.
    pub internal: u64,
    /// Saved by KSM.
    pub merged: u64,
}

/// What was seen.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// Of a guest, in MiB.
    pub memory: u64,
    /// In order.
    pub moments: Vec<Moment>,
    /// How long sharings last.
    pub lifetimes: Vec<Survival>,
}

impl Seen {
    /// The mean share of frames.
    pub fn share(&self, value: fn(&Moment) -> u64) -> f64 {
        let shares = self.moments.iter().map(|moment| value(moment) as f64 / moment.filled as f64);
        shares.sum::<f64>() / self.moments.len() as f64
    }

    /// The share of sharings that last so long.
    pub fn lasting(&self, seconds: u32) -> f64 {
        let found = self.lifetimes.iter().find(|row| row.seconds == seconds);
        found.map_or(f64::NAN, |row| row.share)
    }

    /// For a chart, in MB.
    pub fn line(&self, name: &str, value: fn(&Moment) -> u64) -> crate::chart::Line {
        let mega = |moment: &Moment| value(moment) as f64 * 4096.0 / 1e6;
        let points = self.moments.iter().map(|moment| (moment.seconds, mega(moment)));
        (name.to_owned(), points.collect())
    }
}

/// Two guests of so many MiB do what a line of their shell says, and are watched for a time, while KSM works.
pub fn watch(
    eye: &Eye,
    image: &Path,
    memory: u64,
    line: &str,
    time: Duration,
    scratch: &Path,
) -> Result<Seen> {
    let plan = Plan {
        kernel: guest::kernel()?,
        initial_files: None,
        disk: Some(PathBuf::from(image)),
        memory,
        parameters: String::new(),
        merge: true,
    };
    let mut guests = [Guest::start(&plan, scratch)?, Guest::start(&plan, scratch)?];
    for guest in &mut guests {
        guest.hear("the guest is at rest")?;
    }
    let merging = Merging::take(scratch)?;
    for guest in &mut guests {
        guest.say(line)?;
    }
    merging.on(Pace::SCALED)?;
    thread::sleep(BEGINNING);
    let pids = [guests[0].pid(), guests[1].pid()];
    let mut observer = Observer::new(Kernel::default());
    let (mut moments, mut lifetimes) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < time {
        let seconds = begun.elapsed().as_secs_f64();
        let snapshot = eye.guests(&pids, memory)?;
        let answer = classes(&[&snapshot], By::Guest)?;
        let all = answer.classes.all().frames - answer.classes.zero.frames;
        let merged = answer.ksm.saved;
        moments.push(Moment {
            seconds,
            filled: all + merged,
            savable: answer.savable.at_most + merged,
            internal: answer.savable.internal,
            merged,
        });
        lifetimes = observer.see(snapshot)?.lifetimes;
        thread::sleep(PERIOD);
    }
    drop(guests);
    drop(merging);
    Ok(Seen { memory, moments, lifetimes })
}

//! Idle processes, normal and converted, without and with KSM: Figure 1 of the first paper without a guest, and what its
//! section 5.1 has from exmap.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use pagescan::share::By;
use serde_json::json;
use statify_bench::convert;

use crate::forget::forget;
use crate::look::{Eye, Frames, classes};
use crate::merging::{Merging, Pace};
use crate::programs::{self, Idle};
use crate::report::{Outcome, Unit, ratio};

/// How long programs take to come to rest.
const REST: Duration = Duration::from_secs(6);
/// KSM finds equal pages in the second pass over them; what it sees change takes longer.
const PASSES: u64 = 5;
const MOST: Duration = Duration::from_secs(60);

/// What is started.
struct Kind {
    name: &'static str,
    /// Where its programs are; none for those of the machine.
    dir: Option<PathBuf>,
}

impl Kind {
    fn program(&self, name: &str) -> Option<PathBuf> {
        match &self.dir {
            None => programs::find(name),
            Some(dir) => Some(dir.join(name)).filter(|path| path.exists()),
        }
    }
}

/// What was found of one kind, without or with KSM.
struct Found {
    frames: Frames,
    resident: u64,
    processes: usize,
    effects: [f64; 2],
}

/// The experiment.
pub fn run(eye: &Eye, scratch: &Path, outcome: &mut Outcome) -> Result<()> {
    let (present, missing) = programs::names();
    programs::prepare(scratch)?;
    let statify = convert::statify_binary()?;
    // Where only root can write: outputs take nothing from another pool.
    let pool = tempfile::Builder::new().prefix("statify-bench-").tempdir_in("/var/lib")?;
    let pooled = ["--pool", pool.path().to_str().context("a path that is no text")?];
    let mut kinds = vec![Kind { name: "normal", dir: None }];
    for (name, options) in [
        ("converted", &[][..]),
        ("converted --fixed", &["--fixed"]),
        ("converted --pool", &pooled),
        ("converted --fixed --pool", &[&["--fixed"], &pooled[..]].concat()),
    ] {
        let dir = scratch.join(name);
        fs::create_dir(&dir)?;
        for program in &present {
            let Some(path) = programs::find(program) else { continue };
            convert::convert(&statify, &path, &dir.join(program), options)?;
            forget(&dir.join(program))?;
        }
        kinds.push(Kind { name, dir: Some(dir) });
    }
    for library in fs::read_dir(pool.path())? {
        forget(&library?.path())?;
    }
    let mut details = Vec::new();
    let mut found = Vec::new();
    for merge in [false, true] {
        for kind in &kinds {
            let one = look(eye, kind, merge, scratch)?;
            details.push(json!({
                "kind": kind.name, "ksm": merge, "processes": one.processes, "resident_pages": one.resident,
                "frames": one.frames, "pooled": one.frames.pooled(), "resident_effect": one.effects[0],
                "address_effect": one.effects[1],
            }));
            found.push(one);
        }
    }
    let missing = if missing.is_empty() { "none".into() } else { missing.join(", ") };
    outcome.note(format!(
        "{} processes of {}; missing here: {missing}. Frames are those of the processes, each once, without the page of zeros.",
        found[0].processes,
        present.join(", "),
    ));
    lines(outcome, &kinds, &found);
    outcome.details = details.into();
    Ok(())
}

fn look(eye: &Eye, kind: &Kind, merge: bool, scratch: &Path) -> Result<Found> {
    // What is accepted, and not answered.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let _ = fs::remove_file(scratch.join("bus"));
    let merging = if merge { Some(Merging::take(scratch)?) } else { None };
    let mut idle = Idle::start(|name| kind.program(name), scratch, port, merge)?;
    thread::sleep(REST);
    if let Some(merging) = &merging {
        merging.on(Pace::FAST)?;
        merging.wait(PASSES, MOST);
    }
    let pids = idle.pids()?;
    let snapshot = eye.processes(&pids)?;
    // In this order: pages are taken apart again when KSM is put back.
    drop(idle);
    drop(merging);
    let effect = classes(&[&snapshot], By::Process)?.effect;
    Ok(Found {
        frames: Frames::of(&snapshot),
        resident: effect.resident_pages,
        processes: pids.len(),
        effects: [effect.resident_effect, effect.address_effect]
            .map(|effect| effect.unwrap_or(f64::NAN)),
    })
}

/// `found` has the kinds without KSM, and then with it.
fn lines(outcome: &mut Outcome, kinds: &[Kind], found: &[Found]) {
    let (without, with) = found.split_at(kinds.len());
    let paper = [
        [Some("32,706 (guest)"), Some("30,410 (guest)")],
        [Some("86,506 (guest)"), Some("29,732 (guest)")],
        [None, None],
        [None, None],
        [None, None],
    ];
    let quotients =
        [[Some("2.64 (guest)"), Some("0.978 (guest)")], [None, None], [None, None], [None, None]];
    for (index, kind) in kinds.iter().enumerate() {
        for (found, text, paper) in [
            (&without[index], "frames", paper[index][0]),
            (&with[index], "frames with KSM", paper[index][1]),
        ] {
            let what = format!("{}: {text}", kind.name);
            outcome.line(what, found.frames.all as f64, Unit::Pages, paper);
        }
        let Frames { anonymous, named, named_contents, .. } = without[index].frames;
        for (pages, text) in [
            (anonymous, "frames of no file"),
            (named, "frames of files"),
            (named_contents, "frames of files, equal ones once"),
        ] {
            outcome.line(format!("{}: {text}", kind.name), pages as f64, Unit::Pages, None);
        }
    }
    for (index, kind) in kinds.iter().enumerate().skip(1) {
        for (found, text, paper) in [
            (without, "frames", quotients[index - 1][0]),
            (with, "frames with KSM", quotients[index - 1][1]),
        ] {
            let quotient = ratio(found[index].frames.all, found[0].frames.all);
            outcome.line(format!("{} / normal: {text}", kind.name), quotient, Unit::Ratio, paper);
        }
        let pooled = ratio(without[index].frames.pooled(), without[0].frames.all);
        let what = format!("{} / normal: if equal file pages were one", kind.name);
        outcome.line(what, pooled, Unit::Ratio, None);
        let pooled = ratio(with[index].frames.pooled(), with[0].frames.all);
        let what = format!("{} / normal: the same with KSM", kind.name);
        outcome.line(what, pooled, Unit::Ratio, None);
    }
    for (kind, (without, with)) in kinds.iter().zip(without.iter().zip(with)) {
        let saved = without.frames.all as f64 - with.frames.all as f64;
        outcome.line(format!("{}: saved by KSM", kind.name), saved, Unit::Pages, None);
    }
    let normal = &without[0];
    for (text, effect) in
        ["what is in memory", "what is mapped of libraries"].iter().zip(normal.effects)
    {
        let what = format!("normal: effect of shared libraries, by {text}");
        outcome.line(what, effect, Unit::Ratio, Some("6.62"));
    }
    outcome.line("normal: pages of all processes", normal.resident as f64, Unit::Pages, None);
}

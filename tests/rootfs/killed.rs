//! kill -9 at every step, and at any time: nothing is lost, a second run completes, and everything can
//! be put back.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};

use crate::snapshot::{self, Snapshot};
use crate::{guest, steps, tool};

/// How often at random.
const TIMES: usize = 200;

pub fn add(cases: &mut Cases) {
    cases.check("killed/at-every-step-in-place", |case| at_every_step(case, Kind::InPlace));
    cases.check("killed/at-every-step-with-copies", |case| at_every_step(case, Kind::Copies));
    cases.check("killed/at-every-step-out", |case| at_every_step(case, Kind::Out));
    cases.check("killed/at-every-step-of-restore", restoring);
    cases.check("killed/at-random", at_random);
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    InPlace,
    /// The backup is on another file system.
    Copies,
    Out,
}

/// A tree that is worked on, what it was, and what it must become.
struct Trial {
    pristine: PathBuf,
    root: PathBuf,
    out: PathBuf,
    backup: PathBuf,
    kind: Kind,
    before: Snapshot,
    after: Snapshot,
    _elsewhere: Option<tempfile::TempDir>,
}

impl Trial {
    fn new(case: &Case, kind: Kind, pristine: PathBuf) -> Result<Self> {
        let elsewhere = match kind {
            Kind::Copies => {
                Some(tempfile::Builder::new().prefix("statify-tests-").tempdir_in("/dev/shm")?)
            }
            _ => None,
        };
        let at = elsewhere.as_ref().map_or(case.dir.as_path(), |dir| dir.path());
        let mut trial = Trial {
            pristine,
            root: case.dir.join("root"),
            out: case.dir.join("out"),
            backup: at.join("backup"),
            kind,
            before: Snapshot::new(),
            after: Snapshot::new(),
            _elsewhere: elsewhere,
        };
        trial.reset()?;
        trial.before = snapshot::of(&trial.root)?;
        tool::good(trial.convert())?;
        trial.after = snapshot::of(trial.tree())?;
        ensure!(snapshot::either(&trial.after, &trial.before, &trial.after)? > 2, "nothing to see");
        trial.reset()?;
        Ok(trial)
    }

    fn reset(&self) -> Result<()> {
        let partial = self.out.with_file_name(".out.rootfs-tools-partial");
        for dir in [&self.root, &self.out, &self.backup, &partial] {
            if dir.exists() {
                fs::remove_dir_all(dir)?;
            }
        }
        guest::copy(&self.pristine, &self.root)
    }

    /// Where converted programs are.
    fn tree(&self) -> &Path {
        if self.kind == Kind::Out { &self.out } else { &self.root }
    }

    fn convert(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["convert".into(), self.root.clone().into()];
        arguments.extend(match self.kind {
            Kind::Out => ["--out".into(), self.out.clone().into()].to_vec(),
            _ => ["--in-place".into(), "--backup".into(), self.backup.clone().into()].to_vec(),
        });
        arguments.extend(["--quiet".into(), "--jobs".into(), "1".into()]);
        arguments
    }

    fn restore(&self) -> [OsString; 2] {
        ["restore".into(), self.tree().to_owned().into()]
    }

    /// After any end: each program is one or the other.
    fn nothing_is_lost(&self) -> Result<usize> {
        if self.kind == Kind::Out {
            snapshot::same(&snapshot::of(&self.root)?, &self.before, true).context("ROOT")?;
            if !self.out.exists() {
                return Ok(0);
            }
        }
        snapshot::either(&snapshot::of(self.tree())?, &self.before, &self.after)
    }

    fn is_complete(&self) -> Result<()> {
        let mut now = snapshot::of(self.tree())?;
        // The first thing that a run does changes the time of ROOT itself.
        if let Some(root) = now.get_mut(Path::new("")) {
            root.modified = self.after[Path::new("")].modified;
        }
        snapshot::same(&now, &self.after, true)
    }

    fn is_restored(&self) -> Result<()> {
        // The times of directories are written down before anything changes, but for the first moment.
        snapshot::same(&snapshot::of(self.tree())?, &self.before, false)?;
        ensure!(!self.tree().join(".rootfs-tools").exists(), "the journal stayed");
        // Its directory is made before the journal speaks of it.
        let left = fs::read_dir(&self.backup).map_or(0, Iterator::count);
        ensure!(left == 0, "the backup stayed");
        Ok(())
    }
}

fn at_every_step(case: &Case, kind: Kind) -> Result<()> {
    let pristine = guest::tiny(case.dir.join("pristine"))?.dir;
    let trial = Trial::new(case, kind, pristine)?;
    let mut partly = 0;
    for step in 1.. {
        let check = || -> Result<bool> {
            let killed = steps::kill_at(&mut tool::command(trial.convert())?, step)?;
            let converted = trial.nothing_is_lost().context("after the kill")?;
            partly += usize::from(killed && converted > 0);
            // Even steps: straight back; odd ones: to the end first.
            if step % 2 == 1 {
                tool::good(trial.convert())?;
                trial.is_complete().context("after a second run")?;
            }
            if trial.tree().join(".rootfs-tools/journal").exists() {
                tool::good(trial.restore())?;
                trial.is_restored().context("restored")?;
            }
            trial.reset()?;
            Ok(killed)
        };
        let mut check = check;
        if !check().with_context(|| format!("step {step}"))? {
            ensure!(step > 30 && partly > 3, "{step} steps, {partly} with something converted");
            return Ok(());
        }
    }
    Ok(())
}

fn restoring(case: &Case) -> Result<()> {
    let pristine = guest::tiny(case.dir.join("pristine"))?.dir;
    let trial = Trial::new(case, Kind::InPlace, pristine)?;
    for step in 1.. {
        tool::good(trial.convert())?;
        let killed = steps::kill_at(&mut tool::command(trial.restore())?, step)?;
        trial.nothing_is_lost().with_context(|| format!("step {step}"))?;
        if trial.root.join(".rootfs-tools/journal").exists() {
            tool::good(trial.restore()).with_context(|| format!("step {step}"))?;
        }
        let mut tree = snapshot::of(&trial.root)?;
        // The last thing that is done changes the time of ROOT itself.
        if let Some(root) = tree.get_mut(Path::new("")) {
            root.modified = trial.before[Path::new("")].modified;
        }
        snapshot::same(&tree, &trial.before, true).with_context(|| format!("step {step}"))?;
        trial.reset()?;
        if !killed {
            ensure!(step > 10, "{step} steps only");
            return Ok(());
        }
    }
    Ok(())
}

/// Numbers that are the same in each run (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}

fn at_random(case: &Case) -> Result<()> {
    let pristine = guest::small(case)?.dir;
    let trial = Trial::new(case, Kind::InPlace, pristine)?;
    let arguments: Vec<_> =
        trial.convert().into_iter().filter(|a| a != "--jobs" && a != "1").collect();
    let since = Instant::now();
    tool::good(&arguments)?;
    let whole = since.elapsed().as_millis() as u64;
    let mut numbers = Numbers(5);
    let mut converted = 0;
    for time in 0..TIMES {
        let back = numbers.below(4) == 0 && trial.root.join(".rootfs-tools/journal").exists();
        let mut command =
            if back { tool::command(trial.restore())? } else { tool::command(&arguments)? };
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        thread::sleep(Duration::from_millis(numbers.below(if back { whole / 3 } else { whole })));
        child.kill()?;
        child.wait()?;
        converted += trial.nothing_is_lost().with_context(|| format!("kill {time}"))?;
        if time % 20 == 19 {
            tool::good(&arguments).with_context(|| format!("kill {time}"))?;
            trial.is_complete().with_context(|| format!("kill {time}"))?;
            tool::good(trial.restore())?;
            trial.is_restored().with_context(|| format!("kill {time}"))?;
        }
    }
    ensure!(converted > TIMES, "{converted} programs were converted at a kill");
    Ok(())
}

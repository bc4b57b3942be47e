//! kill -9 at every step, and at any time: nothing is lost, a second run completes, and everything can
//! be put back.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};

use crate::rootfs::trial::{Kind, Trial};
use crate::rootfs::{guest, steps, tool};

/// How often at random.
const TIMES: usize = 200;

pub fn add(cases: &mut Cases) {
    cases.check("killed/at-every-step-in-place", |case| at_every_step(case, Kind::InPlace));
    cases.check("killed/at-every-step-with-copies", |case| at_every_step(case, Kind::Copies));
    cases.check("killed/at-every-step-out", |case| at_every_step(case, Kind::Out));
    cases.check("killed/at-every-step-with-a-pool", |case| at_every_step(case, Kind::Pool));
    cases.check("killed/at-every-step-of-restore", |case| restoring(case, Kind::InPlace));
    cases.check("killed/at-every-step-of-restore-with-a-pool", |case| restoring(case, Kind::Pool));
    cases.check("killed/at-random", at_random);
}

fn at_every_step(case: &Case, kind: Kind) -> Result<()> {
    let pristine = guest::tiny(case.dir.join("pristine"))?.dir;
    let trial = Trial::new(&case.dir, kind, pristine)?;
    let mut partly = 0;
    for step in 1.. {
        let check = || -> Result<bool> {
            let killed = steps::kill_at(&mut tool::command(trial.convert())?, step)?;
            let converted = trial.nothing_is_lost().context("after the kill")?;
            partly += usize::from(killed && converted > 0);
            // Even steps: straight back; odd ones: to the end first.
            trial.goes_on_and_back(step % 2 == 1)?;
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

fn restoring(case: &Case, kind: Kind) -> Result<()> {
    let pristine = guest::tiny(case.dir.join("pristine"))?.dir;
    let trial = Trial::new(&case.dir, kind, pristine)?;
    for step in 1.. {
        tool::good(trial.convert())?;
        let killed = steps::kill_at(&mut tool::command(trial.restore())?, step)?;
        trial.nothing_is_lost().with_context(|| format!("step {step}"))?;
        trial.goes_back().with_context(|| format!("step {step}"))?;
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
    let trial = Trial::new(&case.dir, Kind::InPlace, pristine)?;
    let arguments: Vec<_> =
        trial.convert().into_iter().filter(|a| a != "--jobs" && a != "1").collect();
    let since = Instant::now();
    tool::good(&arguments)?;
    let whole = since.elapsed().as_millis() as u64;
    let mut numbers = Numbers(5);
    let mut converted = 0;
    for time in 0..TIMES {
        let back = numbers.below(4) == 0 && trial.has_journal();
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

//! The sweep itself: every program converted, run in three ways, and compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use rootfs_tools::check::compare::{Verdict, judge, same, same_lines};
use rootfs_tools::check::outcome::{End, Outcome};
use serde::Serialize;

use crate::convert::{Conversion, convert, copy};
use crate::exceptions;
use crate::programs::Program;
use crate::run::run;
use crate::sandbox::Order;

/// How often an original is run again whose converted program did something else.
const REPEATS: usize = 3;

/// By how much the time limit grows where only one of the two had to be stopped: the machine may
/// have been busy.
const PATIENCE: f64 = 4.0;

/// The three ways in which every program is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arguments {
    /// `--version`
    Version,
    /// `--help`
    Help,
    /// None at all, with empty stdin.
    None,
}

impl Arguments {
    const ALL: [Self; 3] = [Self::Version, Self::Help, Self::None];

    fn list(self) -> Vec<String> {
        match self {
            Self::Version => vec!["--version".into()],
            Self::Help => vec!["--help".into()],
            Self::None => vec![],
        }
    }

    /// As shown in a report.
    pub fn label(self) -> &'static str {
        match self {
            Self::Version => "--version",
            Self::Help => "--help",
            Self::None => "(no arguments)",
        }
    }
}

/// Everything about one program.
pub struct Examined {
    /// The program.
    pub program: Program,
    /// What the conversion gave.
    pub conversion: Conversion,
    /// The runs, if it was converted.
    pub runs: Vec<Compared>,
    /// Wall time of the conversion.
    pub conversion_time: Duration,
}

/// One run of a program.
pub struct Compared {
    /// How it was called.
    pub arguments: Arguments,
    /// How the original ended.
    pub end: End,
    /// Whether the converted program did the same.
    pub verdict: Verdict,
    /// The table of exceptions names this run: place and reason.
    pub exception: Option<(usize, &'static str)>,
}

/// How to sweep.
pub struct Sweep {
    /// The command to convert with.
    pub statify: PathBuf,
    /// Wall-clock seconds for one run.
    pub time_limit: f64,
    /// Programs examined at a time.
    pub jobs: usize,
    /// Directory for the files of the runs.
    pub directory: PathBuf,
}

impl Sweep {
    /// Examines all `programs`; the result is in their order.
    pub fn examine_all(
        &self,
        programs: &[Program],
        progress: &ProgressBar,
    ) -> Result<Vec<Examined>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let work = |job: usize| -> Result<()> {
            let directory = self.directory.join(job.to_string());
            fs::create_dir(&directory)?;
            while let Some((place, program)) = {
                let place = next.fetch_add(1, Ordering::Relaxed);
                programs.get(place).map(|program| (place, program))
            } {
                progress.set_message(program.name());
                let examined = self
                    .examine(program, &directory)
                    .with_context(|| format!("examine {}", program.path.display()))?;
                progress.inc(1);
                if let Ok(mut results) = results.lock() {
                    results.push((place, examined));
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.jobs).map(|job| scope.spawn(move || work(job))).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        let mut results = results.into_inner().unwrap_or_else(|poison| poison.into_inner());
        results.sort_by_key(|(place, _)| *place);
        Ok(results.into_iter().map(|(_, examined)| examined).collect())
    }

    fn examine(&self, program: &Program, directory: &Path) -> Result<Examined> {
        let files = Files::new(directory);
        let start = Instant::now();
        let conversion = convert(&self.statify, program, &files.converted)?;
        let conversion_time = start.elapsed();
        let mut runs = Vec::new();
        if conversion == Conversion::Done {
            copy(program, &files.original)?;
            for arguments in Arguments::ALL {
                runs.push(self.compare(program, &files, arguments)?);
            }
        }
        Ok(Examined { program: program.clone(), conversion, runs, conversion_time })
    }

    fn compare(&self, program: &Program, files: &Files, arguments: Arguments) -> Result<Compared> {
        let mut outcome = self.attempt(program, files, arguments, self.time_limit)?;
        if outcome.stopped && outcome.verdict.difference().is_some() {
            outcome = self.attempt(program, files, arguments, PATIENCE * self.time_limit)?;
        }
        let exception = exceptions::find(&program.name(), arguments)
            .map(|(place, exception)| (place, exception.reason));
        Ok(Compared { arguments, end: outcome.end, verdict: outcome.verdict, exception })
    }

    /// Original and converted; only if they differ the original again, to see whether it is stable,
    /// and then both by turns, to see whether the machine changed.
    fn attempt(
        &self,
        program: &Program,
        files: &Files,
        arguments: Arguments,
        time_limit: f64,
    ) -> Result<Attempt> {
        let run = |file| self.run(program, files, file, arguments, time_limit);
        let mut originals = vec![run(&files.original)?];
        let converted = run(&files.converted)?;
        if !same(&originals[0], &converted) {
            for _ in 0..REPEATS {
                originals.push(run(&files.original)?);
            }
        }
        let mut verdict = judge(&originals, &converted, exceptions::is_unordered(&program.name()));
        if verdict.difference().is_some() && originals[0].end == converted.end {
            let mut pairs = Vec::new();
            for _ in 0..REPEATS {
                pairs.push((run(&files.original)?, run(&files.converted)?));
            }
            let agreeing = pairs.iter().filter(|(original, converted)| same(original, converted));
            let agreeing = agreeing.count();
            pairs.push((originals[0].clone(), converted.clone()));
            // What a program tells of the machine may have changed between two runs and stayed so
            // for the repeats: it agrees if all further pairs do. The lines of several processes come
            // in any order: it agrees if that is all in which it ever differs, and not each time.
            let all_lines =
                pairs.iter().all(|(original, converted)| same_lines(original, converted));
            if agreeing == REPEATS || (agreeing > 0 && all_lines) {
                verdict = Verdict::AgreesNormalised;
            }
        }
        let end = originals.swap_remove(0).end;
        let stopped = [&end, &converted.end].contains(&&End::Stopped);
        Ok(Attempt { end, verdict, stopped })
    }

    fn run(
        &self,
        program: &Program,
        files: &Files,
        file: &Path,
        arguments: Arguments,
        time_limit: f64,
    ) -> Result<Outcome> {
        // The mount table shows the image's name, so it is the same for both files.
        fs::rename(file, &files.image)?;
        let order = Order {
            program: program.path.clone(),
            mount_at: program.file.clone(),
            image: files.image.clone(),
            args: arguments.list(),
            time_limit,
        };
        let outcome = run(&order, Duration::from_secs_f64(time_limit + 10.0));
        fs::rename(&files.image, file)?;
        outcome
    }
}

/// What came out under one time limit.
struct Attempt {
    end: End,
    verdict: Verdict,
    /// The original or the converted program was stopped.
    stopped: bool,
}

/// The files of one program's runs, replaced by the next program's.
struct Files {
    original: PathBuf,
    converted: PathBuf,
    image: PathBuf,
}

impl Files {
    /// Paths in an own directory, with what the program before left removed.
    fn new(directory: &Path) -> Self {
        let files = Self {
            original: directory.join("original"),
            converted: directory.join("converted"),
            image: directory.join("image"),
        };
        for file in [&files.original, &files.converted] {
            // Most often there is none.
            let _ = fs::remove_file(file);
        }
        files
    }
}

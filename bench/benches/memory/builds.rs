//! Builds of a real program in two guests (Figures 5.5 to 5.8, 5.11 and 5.12 of the second paper, there of Linux): the C library of
//! zstd, whose sources cargo has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::chart;
use crate::disk::{self, Wanted};
use crate::look::Eye;
use crate::report::{Outcome, Unit};
use crate::work;

const MEMORIES: [u64; 2] = [128, 256];
const TIME: Duration = Duration::from_secs(90);
/// The parts of zstd that are compiled.
const PARTS: [&str; 3] = ["common", "compress", "decompress"];
/// The paper's, for each amount of memory: the mean saving potential.
const PAPER: [&str; 2] = ["47% (Figure 5.6), 25% (5.8)", "75% (1024 MB)"];

/// The experiment.
pub fn run(eye: &Eye, scratch: &Path, outcome: &mut Outcome) -> Result<()> {
    let data = sources()?.iter().map(|source| preprocessed(source)).collect::<Result<Vec<_>>>()?;
    let compiler = Command::new("cc").arg("-print-prog-name=cc1").output().context("cc")?;
    let compiler = PathBuf::from(String::from_utf8(compiler.stdout)?.trim());
    let compiler = compiler.to_str().context("the compiler's path")?;
    let wanted = Wanted { converted: false, data: &data, more: &[compiler], start: false };
    let (image, _) = disk::make("builds", &wanted, scratch)?;
    let line = "while :; do for f in /data/*; do /usr/bin/cc1 -quiet -O1 -fpreprocessed $f -o /out/${f##*/}.s; done; done >/dev/null 2>&1 &";
    let mut seen = Vec::new();
    for memory in MEMORIES {
        seen.push(work::watch(eye, &image, memory, line, TIME, scratch)?);
    }
    outcome.note(format!(
        "Two guests, each of which compiles the same {} files of zstd, watched for {} s; KSM looks at 2,000 pages each 200 ms, ten times as many as in the paper, whose guests were larger and watched longer. Shares are means over time, of frames that hold something else than zeros.",
        data.len(),
        TIME.as_secs(),
    ));
    for (seen, paper) in seen.iter().zip(PAPER) {
        let name = format!("{} MiB", seen.memory);
        let percent = |value| seen.share(value) * 100.0;
        let savable = percent(|moment| moment.savable);
        outcome.line(format!("{name}: savable at most"), savable, Unit::Percent, Some(paper));
        let internal = percent(|moment| moment.internal);
        outcome.line(format!("{name}: of the same guest"), internal, Unit::Percent, None);
        let merged = percent(|moment| moment.merged);
        outcome.line(format!("{name}: merged"), merged, Unit::Percent, None);
        outcome.line(
            format!("{name}: of the opportunities, unmerged"),
            (1.0 - merged / savable) * 100.0,
            Unit::Percent,
            Some("60%"),
        );
        let mean = seen.moments.iter().map(|moment| moment.filled - moment.savable).sum::<u64>();
        let mean = mean as f64 / seen.moments.len() as f64;
        outcome.line(format!("{name}: frames like no other"), mean, Unit::Pages, None);
        for (seconds, paper) in [(8, None), (16, Some("47% (128 MB)"))] {
            let what = format!("{name}: sharings that last {seconds} s or longer");
            outcome.line(what, seen.lasting(seconds) * 100.0, Unit::Percent, paper);
        }
    }
    for (seen, name) in seen.iter().zip(["builds-128", "builds-256"]) {
        let lines = [
            seen.line("frames, without KSM", |moment| moment.filled),
            seen.line("savable at most", |moment| moment.savable),
            seen.line("merged", |moment| moment.merged),
        ];
        let title = format!("Builds in two guests of {} MiB, MB", seen.memory);
        outcome.charts.push((name, chart::over_time(&title, &lines)?));
    }
    outcome.details = serde_json::to_value(&seen)?;
    Ok(())
}

/// Those of zstd, wherever cargo keeps what it has downloaded.
fn sources() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registry = home.context("no directory of cargo")?.join("registry/src");
    let mut packages = Vec::new();
    for index in fs::read_dir(&registry).with_context(|| registry.display().to_string())? {
        for package in fs::read_dir(index?.path())? {
            let path = package?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("zstd-sys-") {
                packages.push(path);
            }
        }
    }
    packages.sort();
    let package = packages.pop().context("cargo has not downloaded zstd-sys")?;
    let mut sources = Vec::new();
    for part in PARTS {
        for file in fs::read_dir(package.join("zstd/lib").join(part))? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "c") {
                sources.push(path);
            }
        }
    }
    sources.sort();
    Ok(sources)
}

fn preprocessed(source: &Path) -> Result<Vec<u8>> {
    let output = Command::new("cc").arg("-E").arg(source).output().context("cc")?;
    ensure!(output.status.success(), "{} cannot be preprocessed", source.display());
    Ok(output.stdout)
}

//! The statify under test: finding it, converting with it, and what a conversion costs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::sys::wait::WaitStatus;
use serde::Serialize;

use crate::spawn::{Launch, wait_usage};
use crate::{binary, loadable};

/// The release binary: `$STATIFY`, or built by cargo.
pub fn statify_binary() -> Result<PathBuf> {
    binary::of_workspace("statify-convert", "statify")
}

/// What converting one program costs: the run with the median CPU time, and the largest peak of all runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Conversion {
    /// User and system time of statify and the captures it started, in milliseconds.
    pub cpu_ms: f64,
    /// Peak resident set in bytes.
    pub peak_rss: u64,
    /// The output's size in bytes.
    pub output: u64,
    /// Bytes that the modules load from their files, in whole pages.
    pub loadable: u64,
}

/// Converts `program` to `output` `runs` times.
pub fn measured(statify: &Path, program: &Path, output: &Path, runs: u32) -> Result<Conversion> {
    let mut cpu_ms = Vec::new();
    let mut peak_rss = 0;
    for _ in 0..runs {
        let usage = convert(statify, program, output, &[])?;
        cpu_ms.push(usage.cpu.as_secs_f64() * 1e3);
        peak_rss = usage.peak_rss.max(peak_rss);
    }
    cpu_ms.sort_by(f64::total_cmp);
    Ok(Conversion {
        cpu_ms: cpu_ms.get(cpu_ms.len() / 2).copied().context("no conversion")?,
        peak_rss,
        output: std::fs::metadata(output).with_context(|| output.display().to_string())?.len(),
        loadable: loadable::bytes(program)?,
    })
}

/// Converts `program` to `output` once, with further `options`.
pub fn convert(
    statify: &Path,
    program: &Path,
    output: &Path,
    options: &[&str],
) -> Result<crate::spawn::Usage> {
    let mut arguments =
        vec![program.as_os_str(), OsStr::new("-o"), output.as_os_str(), OsStr::new("--force")];
    arguments.extend(options.iter().map(OsStr::new));
    let (status, usage) = wait_usage(Launch::new(statify, &arguments)?.start()?)?;
    match status {
        WaitStatus::Exited(_, 0) => Ok(usage),
        _ => bail!(
            "statify {} {}: {}",
            program.display(),
            options.join(" "),
            reason(statify, &arguments)
        ),
    }
}

/// What statify says, asked again: the measured runs are silent.
fn reason(statify: &Path, arguments: &[&OsStr]) -> String {
    match Command::new(statify).args(arguments).output() {
        Ok(output) if !output.status.success() => {
            String::from_utf8_lossy(&output.stderr).trim().to_owned()
        }
        Ok(_) => "failed once".to_owned(),
        Err(error) => error.to_string(),
    }
}

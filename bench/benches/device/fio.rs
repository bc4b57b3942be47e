//! fio, which asks and measures; its engine for NBD is libnbd.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What it measured.
pub struct Figures {
    /// The median of the reads' times, in microseconds.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// Reads in a second.
    pub iops: f64,
}

/// Random reads of 4 KiB, `depth` at a time.
pub fn random_reads(uri: &str, depth: u32, seconds: u32) -> Result<Figures> {
    let mut command = Command::new("fio");
    command.args(["--name=reads", "--ioengine=nbd", "--rw=randread", "--bs=4k"]);
    command.args(["--time_based", "--ramp_time=300ms", "--output-format=json"]);
    command.args([format!("--uri={uri}"), format!("--iodepth={depth}")]);
    command.arg(format!("--runtime={seconds}"));
    let output = command.output().context("fio")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "fio: {}: {said}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    // Notes may stand before it.
    let json = text.find('{').map(|start| &text[start..]).unwrap_or_default();
    let report: Value = serde_json::from_str(json).context("fio's report")?;
    let reads = &report["jobs"][0]["read"];
    let percentile = |which: &str| {
        let time = reads["clat_ns"]["percentile"][which].as_f64();
        time.map(|nanoseconds| nanoseconds / 1e3).context("fio's report has no percentiles")
    };
    Ok(Figures {
        p50: percentile("50.000000")?,
        p99: percentile("99.000000")?,
        iops: reads["iops"].as_f64().context("fio's report has no IOPS")?,
    })
}

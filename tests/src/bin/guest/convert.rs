//! The conversion: with an empty cache, and once more from it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::wait::WaitStatus;
use serde::{Deserialize, Serialize};

use crate::room::Room;
use crate::usage::{self, Usage};

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Converted {
    /// Without anything in the cache.
    pub first: Run,
    /// With everything in it.
    pub second: Run,
    /// What rootfs-tools says of the programs that stay as they are.
    pub failed: Vec<String>,
}

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    /// Wall time, all together.
    pub seconds: f64,
    /// Of which the tree was copied, and the programs were looked for.
    pub copying: f64,
    /// User and system time.
    pub cpu: f64,
    /// The largest process, in bytes.
    pub peak: u64,
}

/// Converts the root twice. The second, in which every conversion comes from the cache, stays.
pub fn convert(room: &Room, tool: &Path) -> Result<Converted> {
    let (out, log) = (room.converted(), room.results().join("convert.log"));
    let to = |out: &Path| {
        let mut command = Command::new(tool);
        command.arg("convert").arg(room.root()).arg("--out").arg(out);
        command.arg("--cache").arg(room.cache());
        command
    };
    // Not removed in between: ext4 gives a directory's new files no inodes that it freed shortly before, and
    // takes long to look for others.
    let before = room.pending("converted-first")?;
    let first = room.once("convert-first", || {
        room.remove(&room.cache())?;
        room.remove(&out)?;
        run(&mut to(&before), &log)
    })?;
    let failed = left(&fs::read_to_string(&log)?);
    room.remove(&out)?;
    let second = run(&mut to(&out), &room.results().join("convert-again.log"))?;
    room.remove(&before)?;
    Ok(Converted { first, second, failed })
}

/// Runs `rootfs-tools convert`.
pub fn run(command: &mut Command, log: &Path) -> Result<Run> {
    // A log goes on where an earlier one ended.
    if log.exists() {
        fs::remove_file(log)?;
    }
    // What others have still to write is not this run's time.
    nix::unistd::sync();
    command.args(["--preserve-privileges", "--keep-going", "--quiet", "--log"]).arg(log);
    let (status, usage) = usage::run(command)?;
    ensure!(matches!(status, WaitStatus::Exited(_, 0)), "rootfs-tools convert: {status:?}");
    let lines = fs::read_to_string(log)?;
    let copying = since_start(&lines, " programs to convert").context("the log has no number")?;
    let Usage { wall, cpu, peak } = usage;
    Ok(Run { seconds: wall.as_secs_f64(), copying, cpu: cpu.as_secs_f64(), peak })
}

/// When a line of the log that ends so was written.
fn since_start(log: &str, end: &str) -> Option<f64> {
    let line = log.lines().find(|line| line.ends_with(end))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the log says of programs that stay as they are.
fn left(log: &str) -> Vec<String> {
    let said = |line: &str| Some(line.trim_start().split_once(" left ")?.1.to_owned());
    log.lines().filter_map(said).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_the_log() {
        let log = "    0.000 copying the tree\n   12.500 7 programs to convert\n   \
                   12.600 converted /bin/a\n   13.000 left /bin/b: no left side\n";
        assert_eq!(super::since_start(log, " programs to convert"), Some(12.5));
        assert_eq!(super::left(log), ["/bin/b: no left side"]);
    }
}

//! The machine and the day: measurements are of these.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::room::output;

/// Where the figures come from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The day, as 2026-11-27.
    pub date: String,
    /// The processor's own name.
    pub cpu: String,
    /// Processors that this program may use.
    pub cpus: usize,
    /// Memory in GiB.
    pub memory: u64,
    /// The kernel's release.
    pub kernel: String,
}

/// This one, today.
pub fn here() -> Result<Machine> {
    let text = |command: &mut Command| -> Result<String> {
        Ok(String::from_utf8(output(command)?)?.trim().to_owned())
    };
    let field = |file: &str, name: &str| -> Result<String> {
        let lines = fs::read_to_string(file).with_context(|| file.to_owned())?;
        value(&lines, name).with_context(|| format!("{file} has no {name}"))
    };
    let kib = field("/proc/meminfo", "MemTotal")?;
    let kib: u64 = kib.trim_end_matches(" kB").parse().context("MemTotal")?;
    Ok(Machine {
        date: text(Command::new("date").args(["-u", "+%F"]))?,
        cpu: field("/proc/cpuinfo", "model name")?,
        cpus: std::thread::available_parallelism()?.get(),
        memory: (kib + (1 << 19)) >> 20,
        kernel: text(Command::new("uname").arg("-r"))?,
    })
}

/// What stands behind `name` and a colon.
fn value(lines: &str, name: &str) -> Option<String> {
    lines.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_field() {
        let lines = "processor\t: 0\nmodel name\t: A CPU: fast\n";
        assert_eq!(super::value(lines, "model name").as_deref(), Some("A CPU: fast"));
        assert_eq!(super::value(lines, "model"), None);
    }
}

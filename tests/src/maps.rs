//! /proc/PID/maps.

use std::fs;
use std::ops::Range;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// One line of /proc/PID/maps (proc_pid_maps(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Addresses.
    pub range: Range<u64>,
    /// Permissions as `rwxp`.
    pub permissions: String,
    /// File name, `[stack]` and the like, or nothing.
    pub name: String,
}

impl Mapping {
    /// Can it be written to and executed at the same time?
    pub fn is_writable_and_executable(&self) -> bool {
        self.permissions.contains('w') && self.permissions.contains('x')
    }
}

/// Parses the text of a maps file.
pub fn parse(text: &str) -> Option<Vec<Mapping>> {
    text.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    let permissions = fields.next()?.to_owned();
    let name = fields.nth(3).unwrap_or_default().trim_start().to_owned();
    Some(Mapping { range: address(start)?..address(end)?, permissions, name })
}

/// The mappings of the process `pid`.
pub fn of(pid: Pid) -> Result<Vec<Mapping>> {
    let text = fs::read(format!("/proc/{pid}/maps"))?;
    parse(&String::from_utf8_lossy(&text))
        .context("a line of /proc/PID/maps that is not understood")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = "5581000-5582000 rw-p 00001000 fe:00 1234      /tmp/a b\n7ff0-7ff1 rwxp 00000000 00:00 0 \n";
        let parsed = parse(text).expect("both lines are right");
        assert_eq!(parsed[0].range, 0x558_1000..0x558_2000);
        assert_eq!((parsed[0].permissions.as_str(), parsed[0].name.as_str()), ("rw-p", "/tmp/a b"));
        assert_eq!(parsed[1].name, "");
        assert!(!parsed[0].is_writable_and_executable() && parsed[1].is_writable_and_executable());
        assert_eq!(parse("nonsense"), None);
    }
}

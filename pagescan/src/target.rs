//! Options by which is said what a snapshot is of, and how it is taken.

use clap::ValueEnum;
use pagescan::hash::{Algorithm, Hasher};
use pagescan::scan::{By, Target, Tools};
use statify_command_line::Failure;

use crate::key;

/// What is looked at.
#[derive(Debug, clap::Args)]
pub struct TargetArguments {
    /// Processes, by their numbers
    #[arg(value_name = "PID", required_unless_present_any = ["all", "guest", "cgroup", "ram", "cache"])]
    pids: Vec<u32>,
    /// All processes but this one
    #[arg(long, conflicts_with_all = ["pids", "guest", "cgroup"])]
    all: bool,
    /// What a process that emulates or runs a machine gives it as memory; with SIZE (512M), its mappings of
    /// exactly that size; otherwise the largest that KSM may merge
    #[arg(long, value_name = "PID[:SIZE]", value_parser = guest, conflicts_with_all = ["pids", "cgroup"])]
    guest: Vec<(u32, Option<u64>)>,
    /// The processes of a control group and of those below it, by its path (system.slice/ssh.service)
    #[arg(long, value_name = "PATH", conflicts_with = "pids")]
    cgroup: Option<String>,
    /// All memory, by frame, but what is free
    #[arg(long, conflicts_with_all = ["pids", "all", "guest", "cgroup"])]
    ram: bool,
    /// And what is free
    #[arg(long, requires = "ram")]
    free: bool,
    /// The page cache: which pages of which files are in memory
    #[arg(long, conflicts_with_all = ["pids", "all", "guest", "cgroup", "ram"])]
    cache: bool,
}

impl TargetArguments {
    /// What was said.
    pub fn target(&self) -> Target {
        match &self.cgroup {
            _ if self.all => Target::All,
            _ if self.ram => Target::Ram { with_free: self.free },
            _ if self.cache => Target::Cache,
            Some(path) => Target::Cgroup(path.clone()),
            None if !self.guest.is_empty() => Target::Guests(self.guest.clone()),
            None => Target::Processes(self.pids.clone()),
        }
    }
}

/// How contents are read and hashed.
#[derive(Debug, clap::Args)]
pub struct WayArguments {
    /// By what means pages are read
    #[arg(long, value_enum, value_name = "MEANS", default_value_t = Means::Best)]
    by: Means,
    /// What contents are hashed by; `pagescan hashes` compares them
    #[arg(long, value_enum, value_name = "HASH", default_value_t = Algorithm::Xxh3_128, conflicts_with = "key")]
    hash: Algorithm,
    /// Hash with the key in FILE (at least 32 bytes, nobody else's to read), so that nobody without it can find out from
    /// the hashes what pages hold
    #[arg(long, value_name = "FILE")]
    key: Option<std::path::PathBuf>,
}

/// As the command line has it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Means {
    /// By frame where kernel and permissions allow it, each once however many use it; else by process
    Best,
    /// By /proc/PID/mem
    Process,
}

impl WayArguments {
    /// What there is to take snapshots with.
    pub fn tools(&self) -> Tools {
        Tools::find(match self.by {
            Means::Best => By::Best,
            Means::Process => By::Process,
        })
    }

    /// By what contents are hashed.
    pub fn hasher(&self) -> Result<Hasher, Failure> {
        match &self.key {
            None => Hasher::unkeyed(self.hash).ok_or_else(|| "this hash needs --key".into()),
            Some(path) => Ok(Hasher::Keyed(Box::new(key::read(path)?))),
        }
    }
}

/// `PID` or `PID:SIZE`.
fn guest(text: &str) -> Result<(u32, Option<u64>), String> {
    let (pid, size) = match text.split_once(':') {
        Some((pid, size)) => (pid, Some(bytes(size)?)),
        None => (text, None),
    };
    let pid = pid.parse().map_err(|_| format!("{pid:?} is no process's number"))?;
    Ok((pid, size))
}

/// A number of bytes, with K, M, G or T behind it.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let unit = text.chars().last().map(|last| last.to_ascii_uppercase());
    let unit = units.into_iter().find(|(letter, _)| Some(*letter) == unit);
    let digits = if unit.is_some() { &text[..text.len() - 1] } else { text };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no size such as 512M"))?;
    number
        .checked_mul(1 << unit.map_or(0, |(_, bits)| bits))
        .ok_or_else(|| format!("{text:?} is too much"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests() {
        assert_eq!(guest("42"), Ok((42, None)));
        assert_eq!(guest("42:512M"), Ok((42, Some(512 << 20))));
        assert_eq!(guest("42:1g"), Ok((42, Some(1 << 30))));
        for wrong in ["", "x", "42:", "42:x", "42:99999999999T", "42:M"] {
            assert!(guest(wrong).is_err(), "{wrong}");
        }
    }
}

//! What a machine says of itself.

use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Which machine it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// /proc/sys/kernel/random/boot_id.
    pub boot: String,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let names = rustix::system::uname();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            host: names.nodename().to_string_lossy().into_owned(),
            boot: boot.trim().to_owned(),
            kernel: names.release().to_string_lossy().into_owned(),
        }
    }
}

/// What /proc/meminfo says, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// MemTotal.
    pub total: u64,
    /// Committed_AS.
    pub committed: u64,
    /// What is in swap.
    pub swapped: u64,
}

impl Memory {
    /// Of this machine, now.
    pub fn now() -> Result<Self> {
        let path = "/proc/meminfo";
        let text = fs::read_to_string(path).map_err(|error| Error::Kernel(path.into(), error))?;
        let values: HashMap<&str, u64> = text.lines().filter_map(value).collect();
        let get = |name| values.get(name).copied().unwrap_or(0);
        Ok(Self {
            total: get("MemTotal"),
            committed: get("Committed_AS"),
            swapped: get("SwapTotal").saturating_sub(get("SwapFree")),
        })
    }
}

fn value(line: &str) -> Option<(&str, u64)> {
    let (name, value) = line.split_once(':')?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((name, kib.saturating_mul(1024)))
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

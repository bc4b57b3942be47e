//! What the numbers were taken on.

use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Serialize;

/// Date and machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// UTC, YYYY-MM-DD.
    pub date: String,
    /// The model, as the kernel names it.
    pub cpu: String,
    /// CPUs that this process may use.
    pub cores: usize,
    /// Its release.
    pub kernel: String,
    /// As getconf(1) names it.
    pub glibc: String,
    /// Load average of the last minute when the measurements began.
    pub load: f64,
}

/// This machine, now.
pub fn describe() -> Result<Machine> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = nix::sys::utsname::uname()?;
    let glibc = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    Ok(Machine {
        date: now.split('T').next().unwrap_or_default().to_owned(),
        cpu: model.map_or("unknown CPU", |(_, name)| name).to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        kernel: kernel.release().to_string_lossy().into_owned(),
        glibc: glibc.map_or_else(
            |_| "glibc".into(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        ),
        load: nix::sys::sysinfo::sysinfo()?.load_average().0,
    })
}

//! What a swept program may consume and which system calls it is refused.

use std::time::Duration;

use anyhow::{Context, Result};
use statify_room::sandbox::Limits;

/// Sets it for this process and those that come out of it, without new privileges for any. Address space is
/// not limited: some only reserve it (node, java).
pub fn apply(time_limit: f64) -> Result<()> {
    let limits = Limits::new(Some(Duration::from_secs_f64(time_limit)), None)?;
    limits.apply().context("set the limits")?;
    std::fs::write("/proc/self/oom_score_adj", "1000").context("set the OOM score")
}

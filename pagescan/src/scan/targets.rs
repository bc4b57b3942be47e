//! Which processes there are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use statify_process::all_processes;

/// Far more levels than control groups have.
const DEEPEST: usize = 64;

/// All processes but this one, ascending.
pub fn all() -> io::Result<Vec<u32>> {
    let mut pids = all_processes()?;
    pids.retain(|&pid| pid != std::process::id());
    Ok(pids)
}

/// The processes of a control group and of those below it, but this one, ascending. The path is below the hierarchy's root, as
/// /proc/PID/cgroup has it, or that of the directory.
pub fn of_cgroup(path: &str) -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    gather(&directory(path)?, DEEPEST, &mut pids)?;
    pids.retain(|&pid| pid != std::process::id());
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn directory(path: &str) -> io::Result<PathBuf> {
    let below = path.trim_start_matches('/');
    let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"];
    let places = hierarchies.iter().map(|root| Path::new(root).join(below));
    let places = places.chain(path.starts_with("/sys/").then(|| path.into()));
    let mut places = places.filter(|place| place.join("cgroup.procs").exists());
    let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such control group");
    if below.split('/').any(|part| part == "..") {
        return Err(missing());
    }
    places.next().ok_or_else(missing)
}

fn gather(dir: &Path, deepest: usize, pids: &mut Vec<u32>) -> io::Result<()> {
    let text = match fs::read_to_string(dir.join("cgroup.procs")) {
        // It was removed meanwhile, or has threads only, whose processes are listed above.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENODEV | libc::ENOENT | libc::EOPNOTSUPP)
            ) =>
        {
            String::new()
        }
        other => other?,
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    if deepest == 0 {
        return Ok(());
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            gather(&entry.path(), deepest - 1, pids)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_among_all() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pids = all().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(pids.contains(&child.id()) && !pids.contains(&std::process::id()));
        assert!(pids.is_sorted());
    }

    #[test]
    fn control_groups_are_looked_for_below_the_root() {
        assert!(of_cgroup("no-such-group").is_err());
        assert!(of_cgroup("../../../proc").is_err());
    }
}

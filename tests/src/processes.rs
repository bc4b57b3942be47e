//! Which processes there are, from /proc: to see that none is left behind.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgrp, getsid};

/// A process that is alive (not a zombie).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Parent's process id.
    pub parent: i32,
    /// Process group.
    pub group: i32,
    /// First 15 bytes of the program's name.
    pub name: String,
}

/// Parses /proc/PID/stat (proc_pid_stat(5)). None for a zombie and for what is not such a line.
pub fn parse_stat(stat: &str) -> Option<Process> {
    // The name may hold blanks and parentheses, so its end is the last parenthesis.
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let alive = !matches!(state, "Z" | "X");
    alive.then_some(Process { pid: pid.parse().ok()?, parent, group, name: name.into() })
}

/// Every process that is alive.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| parse_stat(&stat))
        .collect()
}

/// The processes that belong to a case: in the process group `group` (its leader aside), or running a file in `dir`, or
/// with a working directory there.
pub fn of_case(group: Pid, dir: &Path) -> Vec<Process> {
    let inside = |process: &Process, link: &str| {
        fs::read_link(format!("/proc/{}/{link}", process.pid))
            .is_ok_and(|target| target.starts_with(dir))
    };
    all()
        .into_iter()
        .filter(|process| process.pid != group.as_raw())
        .filter(|process| {
            process.group == group.as_raw() || inside(process, "exe") || inside(process, "cwd")
        })
        .collect()
}

/// The children of this process.
pub fn children() -> Vec<Process> {
    let own = Pid::this().as_raw();
    all().into_iter().filter(|process| process.parent == own).collect()
}

/// Reaps orphans that came to this process and have ended: as zombies they would count against its user's limit of
/// processes. Those that it started itself are its own group's, or lead one in its session; they are left to whoever
/// waits for them.
pub fn reap_orphans() {
    let (own, own_group) = (Pid::this().as_raw(), getpgrp().as_raw());
    let own_session = getsid(None).map_or(0, Pid::as_raw);
    let Ok(entries) = fs::read_dir("/proc") else { return };
    for entry in entries.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((state, [pid, parent, group, session])) = state_and_places(&stat) else {
            continue;
        };
        let is_orphan = session != own_session || (group != own_group && group != pid);
        if state == "Z" && parent == own && is_orphan {
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// The state of a process; its id, its parent's, its group's and its session's.
fn state_and_places(stat: &str) -> Option<(&str, [i32; 4])> {
    let (pid, rest) = stat.split_once(" (")?;
    let mut fields = rest.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let mut number = || fields.next()?.parse().ok();
    Some((state, [pid.parse().ok()?, number()?, number()?, number()?]))
}

/// The processes that run the file `program`.
pub fn running(program: &Path) -> Vec<Process> {
    let exe = |process: &Process| fs::read_link(format!("/proc/{}/exe", process.pid));
    all().into_iter().filter(|process| exe(process).is_ok_and(|target| target == program)).collect()
}

/// What [`of_case`] still finds after half a second of grace: a killed process takes a moment to go.
pub fn left_behind(group: Pid, dir: &Path) -> Vec<Process> {
    let deadline = Instant::now() + Duration::from_millis(500);
    loop {
        let found = of_case(group, dir);
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let line = "42 (a (b) c) S 7 40 40 0 -1 4194304";
        let process = Process { pid: 42, parent: 7, group: 40, name: "a (b) c".into() };
        assert_eq!(parse_stat(line), Some(process));
        for line in ["42 (dead) Z 7 40", "", "42", "42 (x) S", "x (y) S 1 2"] {
            assert_eq!(parse_stat(line), None, "{line}");
        }
    }

    #[test]
    fn states() {
        let line = "42 (a (b) c) Z 7 40 41 0 -1 4194304";
        assert_eq!(state_and_places(line), Some(("Z", [42, 7, 40, 41])));
        assert_eq!(state_and_places("42 (x) Z 7"), None);
    }

    #[test]
    fn finds_itself() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        assert!(all().iter().any(|process| process.pid == own));
    }
}

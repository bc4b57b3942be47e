//! Which thread of a process can make a call, by what /proc tells.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use super::refused::Refused;
use crate::ProcessDir;

/// A process, by a handle that means no other when its number is used again.
pub struct Process(ProcessDir);

impl Process {
    /// The process of a number.
    pub fn open(pid: u32) -> Result<Self, Refused> {
        if pid == std::process::id() {
            return Err(Refused::Itself);
        }
        ProcessDir::open(pid).map(Self).map_err(|error| failed(&error))
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> Result<File, Refused> {
        self.0.file(name).map_err(|error| failed(&error))
    }

    /// What is in a file of it.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Refused> {
        self.0.read(name).map_err(|error| failed(&error))
    }

    /// A thread of it that can make a call: the first if it can.
    pub fn free_thread(&self) -> Result<i32, Refused> {
        if self.is_frozen() {
            return Err(Refused::Frozen);
        }
        let tasks = self.file("task")?;
        let entries = rustix::fs::Dir::new(tasks).map_err(|_| Refused::Gone)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok());
        let mut tids: Vec<i32> = names.collect();
        tids.sort_by_key(|tid| *tid as u32 != self.0.pid());
        let mut refused = Refused::Gone;
        for tid in tids {
            let Ok(status) = self.read(&format!("task/{tid}/status")) else { continue };
            match Status::parse(&status).obstacle() {
                None => return Ok(tid),
                // What stands against the first thread is the reason.
                Some(obstacle) if refused == Refused::Gone => refused = obstacle,
                Some(_) => {}
            }
        }
        Err(refused)
    }

    /// Whether a thread of it is there and not at its end.
    pub fn has_thread(&self, tid: i32) -> bool {
        let status = self.read(&format!("task/{tid}/status"));
        status.is_ok_and(|status| !Status::parse(&status).is_over)
    }

    /// Whether its control group (the second version's) is frozen; not known where that is mounted elsewhere.
    fn is_frozen(&self) -> bool {
        let Ok(group) = self.0.cgroup() else { return false };
        let group = group.trim_start_matches('/');
        let events = Path::new("/sys/fs/cgroup").join(group).join("cgroup.events");
        std::fs::read_to_string(events)
            .is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
    }
}

fn failed(error: &io::Error) -> Refused {
    match error.raw_os_error().map(Errno::from_raw) {
        None | Some(Errno::ESRCH | Errno::ENOENT) => Refused::Gone,
        Some(errno) => Refused::Denied(errno),
    }
}

/// What /proc/PID/task/TID/status says (proc(5)).
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    is_over: bool,
    has_memory: bool,
    tracer: u32,
    is_filtered: bool,
}

impl Status {
    fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).map_or("", |rest| rest.trim())
        };
        Self {
            is_over: field("State:").starts_with(['Z', 'X']),
            has_memory: !field("VmSize:").is_empty(),
            tracer: field("TracerPid:").parse().unwrap_or(0),
            is_filtered: !matches!(field("Seccomp:"), "" | "0"),
        }
    }

    fn obstacle(&self) -> Option<Refused> {
        match self {
            Self { is_over: true, .. } => Some(Refused::Zombie),
            Self { has_memory: false, .. } => Some(Refused::Kernel),
            Self { tracer, .. } if *tracer != 0 => Some(Refused::Traced(*tracer)),
            Self { is_filtered: true, .. } => Some(Refused::Filtered),
            Self { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_against_a_thread() {
        let of = |text: &str| Status::parse(text.as_bytes()).obstacle();
        let good = "Name:\tx\nState:\tS (sleeping)\nTracerPid:\t0\nVmSize:\t  12 kB\nSeccomp:\t0\n";
        assert_eq!(of(good), None);
        assert_eq!(of(&good.replace("S (s", "Z (s")), Some(Refused::Zombie));
        assert_eq!(of(&good.replace("VmSize", "Vm")), Some(Refused::Kernel));
        assert_eq!(of(&good.replace("Pid:\t0", "Pid:\t17")), Some(Refused::Traced(17)));
        assert_eq!(of(&good.replace("Seccomp:\t0", "Seccomp:\t2")), Some(Refused::Filtered));
        assert_eq!(of(""), Some(Refused::Kernel));
    }

    #[test]
    fn this_process_and_none() {
        assert_eq!(Process::open(std::process::id()).err(), Some(Refused::Itself));
        assert_eq!(Process::open(u32::MAX).err(), Some(Refused::Gone));
        let kernel = Process::open(2).unwrap();
        assert_eq!(kernel.free_thread().err(), Some(Refused::Kernel));
    }
}

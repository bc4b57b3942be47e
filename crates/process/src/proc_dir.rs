//! A process by its directory in /proc, which stays this process's, however numbers are used again.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use crate::procfs::{self, MappingDetails};

/// Far more than the kernel's files of a process have.
const MOST_TEXT: u64 = 1 << 30;

/// A process.
#[derive(Debug)]
pub struct ProcessDir {
    pid: u32,
    dir: OwnedFd,
}

impl ProcessDir {
    /// Opens it. ENOENT or ESRCH where there is none.
    pub fn open(pid: u32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
        Ok(Self { pid, dir })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Opens one of its files to read. ESRCH if the process is gone.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.dir, name, flags, Mode::empty())?.into())
    }

    /// What one of its files says.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.file(name)?.take(MOST_TEXT).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Where one of its links points to.
    pub fn link(&self, name: &str) -> io::Result<OsString> {
        let target = rustix::fs::readlinkat(&self.dir, Path::new(name), Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// The size of the file that is mapped at exactly these addresses, in bytes, as far as this machine knows it: a file system
    /// that has to ask somebody else (FUSE, NFS) is not asked, and cannot keep anybody waiting. Takes CAP_SYS_ADMIN or
    /// CAP_CHECKPOINT_RESTORE.
    pub fn mapped_size(&self, range: &Range<u64>) -> io::Result<u64> {
        let link = format!("map_files/{:x}-{:x}", range.start, range.end);
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        Ok(rustix::fs::statx(&self.dir, link, flags, StatxFlags::SIZE)?.stx_size)
    }

    /// /proc/PID/stat.
    pub fn stat(&self) -> io::Result<Stat> {
        Stat::parse(&self.read("stat")?).ok_or_else(|| strange("stat"))
    }

    /// /proc/PID/status.
    pub fn status(&self) -> io::Result<Status> {
        Ok(Status::parse(&self.read("status")?))
    }

    /// Its mappings, with what /proc/PID/smaps says of them, or, where the kernel has none, /proc/PID/maps.
    pub fn mappings(&self) -> io::Result<Vec<MappingDetails>> {
        let (name, text) = match self.read("smaps") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => ("maps", self.read("maps")?),
            other => ("smaps", other?),
        };
        procfs::parse_smaps(&text).ok_or_else(|| strange(name))
    }

    /// The control group that it is in, in the unified hierarchy, or else in that of memory; below the hierarchy's root.
    pub fn cgroup(&self) -> io::Result<String> {
        let text = self.read("cgroup")?;
        let text = String::from_utf8_lossy(&text);
        let of = |is_wanted: fn(&str) -> bool| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            lines.find(|(controllers, _)| is_wanted(controllers)).map(|(_, path)| path.to_owned())
        };
        let memory = of(|controllers| controllers.split(',').any(|name| name == "memory"));
        Ok(memory.or_else(|| of(str::is_empty)).unwrap_or_default())
    }
}

fn strange(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc/PID/{name} has an unknown form"))
}

/// The numbers of all processes, ascending.
pub fn all_processes() -> io::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    Ok(pids)
}

/// What /proc/PID/stat says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The name of the first thread.
    pub name: String,
    /// `R`, `S`, `Z` and so on.
    pub state: char,
    /// PF_* of linux/sched.h.
    pub flags: u64,
    /// When it began, in clock ticks since the machine was started.
    pub start: u64,
    /// The code; zeros where it may not be known.
    pub code: Range<u64>,
    /// Where the first thread's stack begins, which grows down.
    pub stack: u64,
}

/// In the flags of /proc/PID/stat: a thread of the kernel's (linux/sched.h).
const PF_KTHREAD: u64 = 0x0020_0000;

impl Stat {
    /// Whether it is a thread of the kernel, which has no memory of its own.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether it has ended, and only waits for its parent to know.
    pub fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// What the file says. `None` if it has another form.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        // The name may hold anything, parentheses and blanks as well.
        let (before, after) = text.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        let words: Vec<&str> = after.split_ascii_whitespace().collect();
        // The third field of proc_pid_stat(5) is the first here.
        let number = |field: usize| words.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            name,
            state: words.first()?.chars().next()?,
            flags: number(9)?,
            start: number(22)?,
            code: number(26).unwrap_or(0)..number(27).unwrap_or(0),
            stack: number(28).unwrap_or(0),
        })
    }
}

/// What /proc/PID/status says; zeros for what is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The effective user.
    pub uid: u32,
    /// Bytes of the address space.
    pub size: u64,
    /// Bytes of private writable mappings and of stacks.
    pub committed: u64,
    /// Bytes in swap.
    pub swapped: u64,
}

impl Status {
    fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let words = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_ascii_whitespace()
        };
        let kib = |name| {
            let number = words(name).next().and_then(|word| word.parse::<u64>().ok());
            number.unwrap_or(0).saturating_mul(1024)
        };
        Self {
            uid: words("Uid").nth(1).and_then(|word| word.parse().ok()).unwrap_or(0),
            size: kib("VmSize"),
            committed: kib("VmData").saturating_add(kib("VmStk")),
            swapped: kib("VmSwap"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process() {
        let dir = ProcessDir::open(std::process::id()).unwrap();
        let stat = dir.stat().unwrap();
        assert!(stat.start > 0 && !stat.is_over() && !stat.is_kernel_thread(), "{stat:?}");
        let status = dir.status().unwrap();
        assert!(status.size > 1 << 20 && status.committed > 0, "{status:?}");
        assert_eq!(status.uid, rustix::process::geteuid().as_raw());
        let mappings = dir.mappings().unwrap();
        let stack = mappings.iter().find(|mapping| mapping.mapping.name == b"[stack]").unwrap();
        assert!(stack.flags.split(' ').any(|flag| flag == "gd"), "{stack:?}");
        assert!(stack.resident > 0);
        let exe = dir.link("exe").unwrap();
        assert_eq!(Path::new(&exe), std::env::current_exe().unwrap());
        assert!(dir.cgroup().unwrap().starts_with('/'));
    }

    #[test]
    fn names_may_hold_anything() {
        let rest =
            "S 1 2 3 4 5 4194560 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21 22 100 200 300 0";
        let stat = Stat::parse(format!("5 (a) b (c) {rest}").as_bytes()).unwrap();
        assert_eq!((stat.name.as_str(), stat.start), ("a) b (c", 777));
        assert_eq!((stat.code, stat.stack, stat.flags), (100..200, 300, 4194560));
        assert_eq!(Stat::parse(b"nonsense"), None);
        assert_eq!(Stat::parse(b"5 (a) S 1"), None);
        assert_eq!(Stat::parse(b"5 )a( S"), None);
        let short =
            Stat::parse(b"7 (a) R (b) S 1 7 7 0 -1 2097216 0 0 0 0 1 2 3 4 20 0 1 0 42 9 9")
                .unwrap();
        assert!(short.is_kernel_thread() && !short.is_over(), "{short:?}");
        assert_eq!((short.start, short.stack), (42, 0));
    }

    #[test]
    fn who_is_gone_stays_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dir = ProcessDir::open(child.id()).unwrap();
        child.wait().unwrap();
        let error = dir.read("stat").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{error}");
    }
}

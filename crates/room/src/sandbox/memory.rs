//! The memory of all processes in a room together, which resource limits do not know: they are of each process.
//! Process 1 asks for it again and again (proc_pid_status(5)), by system calls alone, and ends the room if it is too
//! much. There is no memory that belongs to no process but that of the small file systems, of pipes, which the kernel
//! limits for each user, and of sockets ([`super::system_calls`]). What these hold nobody tells, so each counts as much
//! as it could.

use super::calls;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// What a status or a sum over mappings takes at most, and a good part of a directory.
const BUFFER: usize = 8 << 10;
/// What counts of a process. Pages of files are the page cache's, which gives them back.
const OWN: [&[u8]; 4] = [b"RssAnon:", b"RssShmem:", b"VmPTE:", b"VmSwap:"];
/// The same with pages that processes share (after fork(2)) counted once; but for page tables.
const PROPORTIONAL: [&[u8]; 3] = [b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:"];
const TABLES: [&[u8]; 1] = [b"VmPTE:"];

/// What a socket's own data may take: twice net.core.wmem_max as it is by itself (socket(7)).
const SOCKET: u64 = 416 << 10;
/// Every process has them.
const STANDARD: u64 = 3;

/// Asks for it.
#[derive(Debug)]
pub struct Meter {
    /// The directory of all processes in the room.
    processes: OwnedFd,
    limit: u64,
}

impl Meter {
    /// `processes` is opened for reading.
    pub fn new(processes: OwnedFd, limit: u64) -> Self {
        Self { processes, limit }
    }

    /// What it asks by.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.processes.as_fd()
    }

    /// Whether they have more by now.
    pub fn is_exceeded(&self) -> bool {
        let own = |process: &[u8]| self.field(process, b"status", &OWN);
        let all = self.sum(|process| Some(own(process)? + self.sockets(process)));
        // The sum over mappings takes longer.
        let exact = |process: &[u8]| Some(self.proportional(process)? + self.sockets(process));
        all > self.limit && self.sum(exact) > self.limit
    }

    /// What its descriptors could hold, as if all were sockets; nothing before Linux 6.2, where nobody counts them.
    fn sockets(&self, process: &[u8]) -> u64 {
        let count = || {
            let path = path(process, b"fd")?;
            let path = CStr::from_bytes_until_nul(&path).ok()?;
            let mut state = std::mem::MaybeUninit::<libc::stat>::uninit();
            let fd = self.processes.as_raw_fd();
            // SAFETY: a path that ends with a NUL, and room for what is told of it.
            let result = unsafe { libc::fstatat(fd, path.as_ptr(), state.as_mut_ptr(), 0) };
            Errno::result(result).ok()?;
            // SAFETY: the kernel has written it.
            u64::try_from(unsafe { state.assume_init() }.st_size).ok()
        };
        count().unwrap_or_default().saturating_sub(STANDARD).saturating_mul(SOCKET)
    }

    fn proportional(&self, process: &[u8]) -> Option<u64> {
        match self.field(process, b"smaps_rollup", &PROPORTIONAL) {
            // It may have none.
            Some(pages) if pages > 0 => {
                Some(pages + self.field(process, b"status", &TABLES).unwrap_or_default())
            }
            _ => self.field(process, b"status", &OWN),
        }
    }

    /// Over all but process 1. One that ended meanwhile has none.
    fn sum(&self, of: impl Fn(&[u8]) -> Option<u64>) -> u64 {
        let fd = self.processes.as_raw_fd();
        // SAFETY: a descriptor and numbers.
        unsafe { libc::lseek(fd, 0, libc::SEEK_SET) };
        let (mut sum, mut buffer) = (0_u64, [0; BUFFER]);
        loop {
            // SAFETY: a buffer of this frame and its length.
            let len = unsafe {
                libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len())
            };
            if len <= 0 {
                return sum;
            }
            for name in names(&buffer[..len as usize]) {
                if name.iter().all(u8::is_ascii_digit) && name != b"1" {
                    sum = sum.saturating_add(of(name).unwrap_or_default());
                }
            }
        }
    }

    /// The sum of these lines in a file of a process's directory, in bytes.
    fn field(&self, process: &[u8], file: &[u8], names: &[&[u8]]) -> Option<u64> {
        let path = path(process, file)?;
        let path = CStr::from_bytes_until_nul(&path).ok()?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        // SAFETY: the path ends with a NUL.
        let fd = unsafe { libc::openat(self.processes.as_raw_fd(), path.as_ptr(), flags) };
        Errno::result(fd).ok()?;
        // SAFETY: new, and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut text = [0; BUFFER];
        let len = read_all(&fd, &mut text);
        Some(lines(&text[..len], names))
    }
}

/// Of a file in a process's directory, with NULs behind it.
fn path(process: &[u8], file: &[u8]) -> Option<[u8; 64]> {
    let mut path = [0; 64];
    let whole = process.len() + 1 + file.len();
    path.get_mut(..process.len())?.copy_from_slice(process);
    path.get_mut(process.len()..=process.len())?.copy_from_slice(b"/");
    path.get_mut(process.len() + 1..whole)?.copy_from_slice(file);
    Some(path)
}

fn read_all(fd: &OwnedFd, to: &mut [u8]) -> usize {
    let mut len = 0;
    while len < to.len() {
        match nix::unistd::read(fd, &mut to[len..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => len += more,
        }
    }
    len
}

/// The names in what getdents64(2) has written.
fn names(mut entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    const NAME: usize = 19;
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(entries.get(16..18)?.try_into().ok()?));
        let (entry, rest) = entries.split_at_checked(len.max(NAME))?;
        entries = rest;
        entry[NAME..].split(|&byte| byte == 0).next()
    })
}

/// The sum of the lines with these names, which are in KiB, in bytes.
fn lines(text: &[u8], names: &[&[u8]]) -> u64 {
    let value = |line: &[u8]| -> Option<u64> {
        let rest = names.iter().find_map(|name| line.strip_prefix(*name))?;
        let mut digits = rest.iter().filter(|byte| byte.is_ascii_digit());
        digits
            .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    };
    let values = text.split(|&byte| byte == b'\n').filter_map(value);
    values.fold(0, |sum, value| sum.saturating_add(value.saturating_mul(1024)))
}

/// The directory of the processes as the caller, process 1, sees them: of a file system of its own, whatever is in the
/// room. `at` is a mount point of a private namespace.
pub(super) fn processes(at: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    calls::mount(Some(c"proc"), at, Some(c"proc"), flags, None)?;
    calls::open(at, libc::O_RDONLY | libc::O_DIRECTORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] =
        b"Name:\tRssAnon: 7\nVmRSS:\t    5000 kB\nRssAnon:\t     120 kB\nRssFile:\t    4000 kB\n\
        RssShmem:\t       8 kB\nVmPTE:\t      40 kB\nVmSwap:\t       0 kB\n";

    #[test]
    fn what_is_a_process_s_own() {
        assert_eq!(lines(STATUS, &OWN), 168 << 10);
        assert_eq!(lines(b"", &OWN), 0);
        assert_eq!(lines(b"VmPTE:\t99999999999999999999 kB", &OWN), 0);
    }

    #[test]
    fn this_process_and_its_children_are_counted() {
        let memory = vec![1_u8; 64 << 20];
        let processes = || OwnedFd::from(std::fs::File::open("/proc").unwrap());
        assert!(Meter::new(processes(), 64 << 20).is_exceeded());
        assert!(!Meter::new(processes(), 1 << 44).is_exceeded());
        assert_eq!(memory[memory.len() - 1], 1);
    }

    #[test]
    fn entries_of_a_directory() {
        let mut entry = [0; 24];
        entry[16] = 24;
        entry[19..22].copy_from_slice(b"123");
        let twice = [entry, entry].concat();
        assert_eq!(names(&twice).collect::<Vec<_>>(), [b"123", b"123"]);
        assert_eq!(names(&twice[..30]).count(), 1);
        assert_eq!(names(&[]).count(), 0);
    }
}

//! Memory of which is known what it holds. Not each of the tests that share it uses all of it.
#![allow(dead_code)]

use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const PAGE: usize = 4096;

/// Tests that fork, or count who shares memory, run one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A page that differs from all others of other seeds.
pub fn page(seed: u64) -> Vec<u8> {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_ne_bytes()
    };
    std::iter::repeat_with(&mut next).take(PAGE / 8).flatten().collect()
}

/// Mapped memory.
pub struct Region {
    pub start: *mut u8,
    pub len: usize,
}

impl Region {
    pub fn map(len: usize, flags: libc::c_int, file: Option<&OwnedFd>) -> Self {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let fd = file.map_or(-1, |file| file.as_raw_fd());
        // SAFETY: a new mapping.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self { start: start.cast(), len }
    }

    pub fn anonymous(len: usize) -> Self {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, None)
    }

    /// Writes pages of these seeds.
    pub fn fill(&self, seeds: impl Iterator<Item = u64>) {
        for (at, seed) in seeds.enumerate() {
            assert!((at + 1) * PAGE <= self.len);
            // SAFETY: within the mapping, which this test alone has.
            unsafe { self.start.add(at * PAGE).copy_from(page(seed).as_ptr(), PAGE) };
        }
    }

    pub fn advise(&self, advice: libc::c_int) {
        // SAFETY: it is this mapping, and no advice of these tests takes it away.
        let done = unsafe { libc::madvise(self.start.cast(), self.len, advice) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    pub fn protect(&self, prot: libc::c_int) {
        // SAFETY: nothing borrows it.
        assert_eq!(unsafe { libc::mprotect(self.start.cast(), self.len, prot) }, 0);
    }

    /// What /proc/self/pagemap says.
    pub fn entries(&self) -> Vec<u64> {
        let mut bytes = vec![0; self.len / PAGE * 8];
        let file = File::open("/proc/self/pagemap").unwrap();
        file.read_exact_at(&mut bytes, self.start as u64 / PAGE as u64 * 8).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()
    }

    /// Frame numbers of its pages, all of which are there.
    pub fn frames(&self) -> Vec<u64> {
        let frame = |entry: u64| {
            assert_eq!(entry >> 63, 1, "a page is not there");
            entry & ((1 << 55) - 1)
        };
        self.entries().into_iter().map(frame).collect()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `map`.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// A file in memory.
pub fn memfd(name: &std::ffi::CStr) -> OwnedFd {
    // SAFETY: the name lives as long.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: just made.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A copy of this process that does nothing, until it is dropped.
pub struct Fork(pub libc::pid_t);

impl Fork {
    pub fn new() -> Self {
        // SAFETY: the child calls nothing that needs a lock.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: as above.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::pause();
                }
            }
        }
        Self(pid)
    }

    /// The numbers of the mapping at an address in its smaps, in kB.
    pub fn smaps(&self, address: u64, names: &[&str]) -> Vec<(String, u64)> {
        let text = fs::read_to_string(format!("/proc/{}/smaps", self.0)).unwrap();
        let start = format!("{address:x}-");
        let lines = text.lines().skip_while(|line| !line.starts_with(&start)).skip(1);
        let lines = lines.take_while(|line| !line.starts_with("VmFlags"));
        let number = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let value = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            names.contains(&name).then(|| (name.to_owned(), value))
        };
        let numbers: Vec<_> = lines.filter_map(number).collect();
        assert_eq!(numbers.len(), names.len(), "{text}");
        numbers
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        // SAFETY: its own child, which is not reaped yet.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

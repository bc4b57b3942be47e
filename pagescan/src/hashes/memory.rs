//! Pages of a process that are in memory, read by /proc/PID/mem. It is not stopped, and nothing is brought in: what is absent or in
//! swap is left out.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use super::pages::{PAGE, Pages};
use super::regions::{of_guest, regions};
use crate::{Error, Result};

/// Entries of /proc/PID/pagemap that are read at once.
const ENTRIES: usize = 32 << 10;
/// Bit 63 of an entry: the page is in memory (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;

/// What of a process is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, but devices.
    All,
    /// The memory of the guest that it emulates or runs.
    Guest,
}

/// A process whose pages are read. It is this one and no other to the end, also if it ends and its number is given anew.
#[derive(Debug)]
pub struct ProcessMemory {
    pid: u32,
    mem: File,
    pagemap: File,
    /// Addresses that were not looked at yet.
    ranges: VecDeque<Range<u64>>,
    /// Addresses of pages that are there and were not read yet.
    present: VecDeque<Range<u64>>,
    unread: u64,
}

impl ProcessMemory {
    /// Begins with a process.
    pub fn open(pid: u32, part: Part) -> Result<Self> {
        let refused = |error: io::Error| Error::Process(pid, why(&error));
        let path = PathBuf::from(format!("/proc/{pid}"));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| refused(e.into()))?;
        let open = |name: &str| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&dir, name, flags, Mode::empty())
                .map(File::from)
                .map_err(|errno| refused(errno.into()))
        };
        let mut smaps = Vec::new();
        open("smaps")?.read_to_end(&mut smaps).map_err(refused)?;
        let mut regions = regions(&smaps);
        if regions.is_empty() {
            return Err(Error::Process(
                pid,
                "it has no memory of its own; is it the kernel's?".into(),
            ));
        }
        if part == Part::Guest {
            regions = of_guest(regions);
        }
        let ranges = regions.into_iter().filter(|region| !region.is_special);
        let ranges = ranges.map(|region| region.range).collect();
        let (mem, pagemap) = (open("mem")?, open("pagemap")?);
        Ok(Self { pid, mem, pagemap, ranges, present: VecDeque::new(), unread: 0 })
    }

    /// Looks at the next addresses. False if there are none.
    fn look(&mut self) -> Result<bool> {
        let Some(range) = self.ranges.front_mut() else { return Ok(false) };
        let pages = (range.end.saturating_sub(range.start) / PAGE as u64).min(ENTRIES as u64);
        let start = range.start;
        range.start += pages * PAGE as u64;
        if range.end.saturating_sub(range.start) < PAGE as u64 {
            self.ranges.pop_front();
        }
        let mut entries = vec![0; pages as usize * 8];
        let mut len = 0;
        while len < entries.len() {
            let at = start / PAGE as u64 * 8 + len as u64;
            match self.pagemap.read_at(&mut entries[len..], at) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Process(self.pid, why(&error))),
            }
        }
        if len == 0 && pages > 0 {
            return Err(self.ended());
        }
        for (i, entry) in entries[..len].as_chunks::<8>().0.iter().enumerate() {
            if u64::from_ne_bytes(*entry) & PRESENT == 0 {
                continue;
            }
            let at = start + (i * PAGE) as u64;
            match self.present.back_mut() {
                Some(last) if last.end == at => last.end += PAGE as u64,
                _ => self.present.push_back(at..at + PAGE as u64),
            }
        }
        Ok(true)
    }

    /// Copies pages that follow one another into a buffer, which is of whole pages; as many as fit. Returns the first one's address
    /// and how many bytes these are; nothing if there are no more.
    pub fn next_run(&mut self, buffer: &mut [u8]) -> Result<Option<(u64, usize)>> {
        if buffer.len() < PAGE {
            return Ok(None);
        }
        loop {
            let Some(range) = self.present.front_mut() else {
                if self.look()? { continue } else { return Ok(None) }
            };
            let wanted = (range.end - range.start).min(buffer.len() as u64) as usize;
            let (taken, skipped) = match self.mem.read_at(&mut buffer[..wanted], range.start) {
                Ok(0) => return Err(self.ended()),
                Ok(read) if read >= PAGE => (read / PAGE * PAGE, 0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (0, 0),
                // Unmapped or closed since it was looked at: the page is left out.
                _ => (0, PAGE),
            };
            let address = range.start;
            self.unread += (skipped / PAGE) as u64;
            range.start += (taken + skipped) as u64;
            if range.start >= range.end {
                self.present.pop_front();
            }
            if taken > 0 {
                return Ok(Some((address, taken)));
            }
        }
    }

    fn ended(&self) -> Error {
        Error::Process(
            self.pid,
            "it ended while it was read; stop it first, or use --freeze".into(),
        )
    }
}

impl Pages for ProcessMemory {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut len = 0;
        while len < buffer.len() {
            match self.next_run(&mut buffer[len..])? {
                Some((_, read)) => len += read,
                None => break,
            }
        }
        Ok(len)
    }

    fn unread(&self) -> u64 {
        self.unread
    }
}

/// Why a file of a process cannot be read, for its user.
fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => "there is no such process".into(),
        Some(libc::EACCES | libc::EPERM) => {
            "its memory may not be read: it is another user's, or protected; be root, or have CAP_SYS_PTRACE".into()
        }
        _ => format!("its memory cannot be read: {error}"),
    }
}

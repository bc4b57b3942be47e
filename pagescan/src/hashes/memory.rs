//! Pages of a process that are in memory, read by /proc/PID/mem. It is not stopped, and nothing is brought in: what is absent or in
//! swap is left out.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use statify_process::ProcessDir;
use statify_process::pagemap::Pagemap;

use super::pages::{PAGE, Pages};
use crate::scan::{Missed, guest};
use crate::{Error, Result};

/// Addresses that are looked at at once, in bytes: so much that a range of terabytes takes no time, and so little that which pages
/// are there need not be known of all.
const LOOK: u64 = 1 << 30;

/// What of a process is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, but devices.
    All,
    /// The memory of the guest that it emulates or runs, as a snapshot of a guest has it.
    Guest,
}

/// A process whose pages are read. It is this one and no other to the end, also if it ends and its number is given anew.
#[derive(Debug)]
pub struct ProcessMemory {
    pid: u32,
    mem: File,
    pagemap: Pagemap,
    /// Addresses that were not looked at yet.
    ranges: VecDeque<Range<u64>>,
    /// Addresses of pages that are there and were not read yet.
    present: VecDeque<Range<u64>>,
    unread: u64,
}

impl ProcessMemory {
    /// Begins with a process.
    pub fn open(pid: u32, part: Part) -> Result<Self> {
        let missed = |missed: Missed| Error::Process(pid, missed.to_string());
        let failed = |error| missed(Missed::of(error));
        let dir = ProcessDir::open(pid).map_err(failed)?;
        match dir.stat().map_err(failed)? {
            stat if stat.is_kernel_thread() => return Err(missed(Missed::Kernel)),
            stat if stat.is_over() => return Err(missed(Missed::Gone)),
            _ => {}
        }
        let (mem, pagemap) =
            (dir.file("mem").map_err(failed)?, Pagemap::open(&dir).map_err(failed)?);
        let mut mappings = dir.mappings().map_err(failed)?;
        if part == Part::Guest {
            mappings = guest::memory(mappings, None).ok_or_else(|| missed(Missed::NoGuest))?;
        }
        let memory = mappings.into_iter().filter(|details| !details.is_device());
        let ranges = memory.map(|details| details.mapping.range).collect();
        Ok(Self { pid, mem, pagemap, ranges, present: VecDeque::new(), unread: 0 })
    }

    /// Looks at the next addresses. False if there are none.
    fn look(&mut self) -> Result<bool> {
        let Some(range) = self.ranges.front_mut() else { return Ok(false) };
        let looked_at = range.start..range.end.min(range.start.saturating_add(LOOK));
        range.start = looked_at.end;
        if range.start >= range.end {
            self.ranges.pop_front();
        }
        let present = &mut self.present;
        let looked = self.pagemap.pages(looked_at, |page| match present.back_mut() {
            Some(last) if last.end == page.address => last.end += PAGE as u64,
            _ => present.push_back(page.address..page.address + PAGE as u64),
        });
        match looked {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(self.ended()),
            Err(error) => Err(Error::Process(self.pid, Missed::of(error).to_string())),
            Ok(()) => Ok(true),
        }
    }

    /// Copies pages that follow one another into a buffer, which is of whole pages; as many as fit. Returns the first one's address
    /// and how many bytes these are; nothing if there are no more.
    fn next_run(&mut self, buffer: &mut [u8]) -> Result<Option<(u64, usize)>> {
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

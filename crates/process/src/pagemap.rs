//! Which pages of a process are in memory, and in which frames (Documentation/admin-guide/mm/pagemap.rst). Nothing is brought into
//! memory by it, and nothing marked.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use statify_elf::PAGE;

use crate::ProcessDir;

/// A page that is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its address.
    pub address: u64,
    /// Its frame's number; none without CAP_SYS_ADMIN.
    pub frame: Option<u64>,
    /// The kernel's page of zeros. Known only where there is PAGEMAP_SCAN.
    pub is_zero: bool,
    /// The file's own page, or shared memory.
    pub is_file: bool,
    /// Mapped by an entry for a huge page. Known only where there is PAGEMAP_SCAN.
    pub is_huge: bool,
    /// Nobody else maps it.
    pub is_exclusive: bool,
    /// Written to since soft-dirty bits were cleared.
    pub is_soft_dirty: bool,
}

/// The page tables of a process.
#[derive(Debug)]
pub struct Pagemap {
    file: File,
    /// PAGEMAP_SCAN is there (since Linux 6.7).
    can_scan: AtomicBool,
}

/// So many entries are read at once.
const ENTRIES: usize = 8192;
/// So many ranges are asked for at once.
const RANGES: usize = 1024;

impl Pagemap {
    /// Opens that of a process: of the program that it executes now, also when it executes another later.
    pub fn open(process: &ProcessDir) -> io::Result<Self> {
        Ok(Self { file: process.file("pagemap")?, can_scan: AtomicBool::new(true) })
    }

    /// The same without PAGEMAP_SCAN, as on older kernels.
    pub fn without_scan(self) -> Self {
        self.can_scan.store(false, Ordering::Relaxed);
        self
    }

    /// Whether PAGEMAP_SCAN is used: known when pages were asked for.
    pub fn scans(&self) -> bool {
        self.can_scan.load(Ordering::Relaxed)
    }

    /// Hands on all pages of a range that are in memory, ascending. ESRCH if the program whose they are is not executed any more.
    pub fn pages(&self, range: Range<u64>, mut page: impl FnMut(Page)) -> io::Result<()> {
        // The vsyscall page is no process's own, and none of its page tables'.
        if range.start >> 63 != 0 {
            return Ok(());
        }
        if self.scans() {
            let is_without = |error: &io::Error| {
                matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL | libc::ENOSYS))
            };
            match self.scan(range.clone(), &mut page) {
                // Nothing was handed on.
                Err(error) if is_without(&error) => self.can_scan.store(false, Ordering::Relaxed),
                other => return other,
            }
        }
        self.entries(range, 0, &mut page)
    }

    fn scan(&self, range: Range<u64>, page: &mut impl FnMut(Page)) -> io::Result<()> {
        let mut regions = vec![Region::default(); RANGES];
        let mut start = range.start;
        while start < range.end {
            let mut arguments = Scan {
                size: size_of::<Scan>() as u64,
                start,
                end: range.end,
                vec: regions.as_mut_ptr() as u64,
                vec_len: regions.len() as u64,
                category_mask: IS_PRESENT,
                return_mask: IS_PRESENT | IS_PFNZERO | IS_HUGE,
                ..Scan::default()
            };
            // SAFETY: the structure is the kernel's (struct pm_scan_arg in linux/fs.h), its vector as long as it says.
            let found =
                unsafe { libc::ioctl(self.file.as_raw_fd(), PAGEMAP_SCAN, &raw mut arguments) };
            if found < 0 {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
            let found = &regions[..(found as usize).min(RANGES)];
            for region in found {
                self.entries(region.start..region.end, region.categories, page)?;
            }
            // Where there was room left, all was walked: walk_end then says where the kernel's own buffer was full last, which may
            // lie before what it has found since (do_pagemap_scan in fs/proc/task_mmu.c).
            let Some(last) = found.last().filter(|_| found.len() == RANGES) else { break };
            start = last.end.max(arguments.walk_end);
        }
        self.is_there(range.start)
    }

    /// ESRCH if the address space is gone, in which PAGEMAP_SCAN finds nothing then.
    fn is_there(&self, address: u64) -> io::Result<()> {
        match self.file.read_at(&mut [0; 8], address / PAGE * 8)? {
            8.. => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Reads the entries themselves.
    fn entries(
        &self,
        range: Range<u64>,
        categories: u64,
        page: &mut impl FnMut(Page),
    ) -> io::Result<()> {
        let mut bytes = vec![0; ENTRIES.min(((range.end - range.start) / PAGE) as usize) * 8];
        let mut address = range.start;
        while address < range.end {
            let wanted = ((range.end - address) / PAGE).min(ENTRIES as u64) as usize * 8;
            let read = self.file.read_at(&mut bytes[..wanted], address / PAGE * 8)?;
            if read < 8 {
                // The address space is gone.
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            for entry in bytes[..read].as_chunks().0 {
                let entry = u64::from_ne_bytes(*entry);
                if entry >> 63 != 0 {
                    let frame = entry & ((1 << 55) - 1);
                    page(Page {
                        address,
                        frame: (frame != 0).then_some(frame),
                        is_zero: categories & IS_PFNZERO != 0,
                        is_file: entry >> 61 & 1 != 0,
                        is_huge: categories & IS_HUGE != 0,
                        is_exclusive: entry >> 56 & 1 != 0,
                        is_soft_dirty: entry >> 55 & 1 != 0,
                    });
                }
                address += PAGE;
            }
        }
        Ok(())
    }
}

// linux/fs.h
const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
const IS_PRESENT: u64 = 1 << 3;
const IS_PFNZERO: u64 = 1 << 5;
const IS_HUGE: u64 = 1 << 6;

/// struct pm_scan_arg.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// struct page_region.
#[repr(C)]
#[derive(Clone, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many pages without memory, for as long as the process lives.
    fn mapped(pages: u64) -> u64 {
        let len = (pages * PAGE) as usize;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0) };
        assert_ne!(memory, libc::MAP_FAILED);
        // SAFETY: it is of that size.
        unsafe { libc::madvise(memory, len, libc::MADV_NOHUGEPAGE) };
        memory as u64
    }

    /// Ten pages, the third and the fourth of which were written, the sixth read.
    fn touched() -> ([u64; 3], Range<u64>) {
        let start = mapped(10);
        let at = |page: u64| (start + page * PAGE) as *mut u8;
        // SAFETY: inside of the mapping.
        unsafe {
            at(2).write_volatile(1);
            at(3).write_volatile(1);
            let _ = at(5).read_volatile();
        }
        ([2, 3, 5], start..start + 10 * PAGE)
    }

    #[test]
    fn pages_of_many_ranges_are_found_once() {
        // Every other page of some: more ranges than are asked for at once, and than the kernel's own buffer has.
        const PAGES: u64 = 6 * RANGES as u64;
        let start = mapped(PAGES);
        for page in (0..PAGES).step_by(2) {
            // SAFETY: inside of the mapping.
            unsafe { ((start + page * PAGE) as *mut u8).write_volatile(1) };
        }
        let process = ProcessDir::open(std::process::id()).unwrap();
        let pagemap = Pagemap::open(&process).unwrap();
        for end in [PAGES, PAGES - 1, 2 * RANGES as u64, 2 * RANGES as u64 + 600] {
            let mut found = Vec::new();
            let range = start..start + end * PAGE;
            pagemap.pages(range, |page| found.push((page.address - start) / PAGE)).unwrap();
            assert!(found.iter().copied().eq((0..end).step_by(2)), "{end}: {} pages", found.len());
        }
    }

    #[test]
    fn that_a_process_has_ended_is_told_by_either_way() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessDir::open(child.id()).unwrap();
        let either =
            [Pagemap::open(&process).unwrap(), Pagemap::open(&process).unwrap().without_scan()];
        child.kill().unwrap();
        child.wait().unwrap();
        for pagemap in either {
            let error = pagemap.pages(0x40_0000..0x50_0000, |_| {}).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
        }
    }

    #[test]
    fn pages_in_memory_are_found_by_either_way() {
        let (wanted, range) = touched();
        let process = ProcessDir::open(std::process::id()).unwrap();
        for pagemap in
            [Pagemap::open(&process).unwrap(), Pagemap::open(&process).unwrap().without_scan()]
        {
            let mut pages = Vec::new();
            pagemap.pages(range.clone(), |page| pages.push(page)).unwrap();
            let found: Vec<u64> =
                pages.iter().map(|page| (page.address - range.start) / PAGE).collect();
            assert_eq!(found, wanted, "{pages:?}");
            assert!(pages.iter().all(|page| !page.is_file));
            if pagemap.scans() {
                let zeros: Vec<bool> = pages.iter().map(|page| page.is_zero).collect();
                assert_eq!(zeros, [false, false, true]);
            }
        }
    }
}

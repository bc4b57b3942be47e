//! The output's own file, to map from it what the kernel has not mapped.
//!
//! It is opened by the path that was executed, not by /proc/self/exe: that takes no /proc and a tenth
//! of the time. What another file has got that path (a script, if this is its interpreter) shows in
//! its build-id.

use crate::arch::{self, Pages, nr};
use crate::elf::{HEADER, PHNUM, PROGRAM_HEADER};
use crate::maps;
use crate::params::Params;
use crate::stack::{AT_EXECFN, AT_SECURE, Stack};

const AT_FDCWD: u64 = -100i64 as u64;
/// O_RDONLY, and no waiting for a FIFO's other end, no terminal of its own, nothing for children.
const FLAGS: u64 = arch::O_NONBLOCK | arch::O_NOCTTY | arch::O_CLOEXEC | arch::O_LARGEFILE;
/// The size of a note's header and name.
const NOTE_HEAD: u64 = 16;
/// Bytes of a build-id.
const BUILD_ID: usize = 20;

/// Pages of an open file.
#[derive(Clone, Copy)]
pub struct Source {
    pub descriptor: u64,
    /// Of the first, in bytes from the file's start.
    pub offset: u64,
}

impl Source {
    /// Maps them, privately and with these flags: the result of mmap(2). The first lies as far within a page there as in
    /// the file.
    ///
    /// # Safety
    ///
    /// With MAP_FIXED, nothing else uses those addresses.
    pub unsafe fn map(self, pages: Pages, to: u64, len: u64, prot: u64, flags: u64) -> i64 {
        const PRIVATE: u64 = 0x02;
        let before = to - pages.down(to);
        let offset = self.offset.wrapping_sub(before);
        let args = [to - before, len + before, prot, PRIVATE | flags, self.descriptor, offset];
        // SAFETY: the caller's promise.
        let result = unsafe { arch::syscall(nr::MMAP, args) };
        if result < 0 { result } else { result + before as i64 }
    }
}

/// A descriptor of the output.
pub struct OwnFile {
    descriptor: u64,
}

impl OwnFile {
    /// Opens it. `None` where that cannot be, and for a process with privileges that its caller
    /// lacks: the caller may have changed what the path leads to.
    ///
    /// # Safety
    ///
    /// The front lies at `front`.
    pub unsafe fn open(front: u64, stack: &Stack) -> Option<Self> {
        let path = stack.value(AT_EXECFN)?;
        if stack.value(AT_SECURE).is_none_or(|secure| secure != 0) {
            return None;
        }
        // SAFETY: AT_EXECFN is a string; the build-id's note follows the program headers.
        unsafe {
            let descriptor = arch::syscall(nr::OPENAT, [AT_FDCWD, path, FLAGS, 0, 0, 0]);
            if descriptor < 0 {
                return None;
            }
            let file = Self { descriptor: descriptor as u64 };
            let headers = u64::from(*((front + PHNUM) as *const u16));
            let at = HEADER + headers * PROGRAM_HEADER + NOTE_HEAD;
            let mut id = [0u8; BUILD_ID];
            let to = (&raw mut id) as u64;
            let args = [file.descriptor, to, BUILD_ID as u64, at, 0, 0];
            let read = arch::syscall(nr::PREAD64, args);
            if read == BUILD_ID as i64 && id == *((front + at) as *const [u8; BUILD_ID]) {
                return Some(file);
            }
            file.close();
            None
        }
    }

    /// Its pages from this offset on.
    pub fn from(&self, offset: u64) -> Source {
        Source { descriptor: self.descriptor, offset }
    }

    /// Closes it.
    pub fn close(self) {
        // SAFETY: it was opened here.
        unsafe { arch::syscall(nr::CLOSE, [self.descriptor, 0, 0, 0, 0, 0]) };
    }
}

/// The one page of the output that grows where the file cannot be opened.
pub struct Spare {
    pages: Pages,
    /// Where the grown mapping begins, and what of the file that is.
    start: u64,
    offset: u64,
    len: u64,
}

impl Spare {
    /// Grows it, somewhere.
    ///
    /// # Safety
    ///
    /// `page` is that page, mapped by the kernel, and of no other use.
    pub unsafe fn grow(p: &Params, pages: Pages, page: u64) -> Option<Self> {
        let size = pages.size();
        let before = page - pages.down(page);
        let len = p.spare_len + before;
        // Not where it is: at fixed addresses, what it is for may belong behind it.
        // SAFETY: the caller's promise, and what is overwritten was reserved here.
        unsafe {
            let start = maps::reserve(pages, 0, len, size);
            maps::resize(page - before, size, len, start).then_some(Self {
                pages,
                start,
                offset: p.spare_offset - before,
                len,
            })
        }
    }

    /// Moves pages of it where they belong, with these permissions.
    ///
    /// # Safety
    ///
    /// Nothing else uses those addresses.
    pub unsafe fn map(&self, to: u64, len: u64, prot: u64, offset: u64) -> bool {
        let from = self.start.wrapping_add(offset.wrapping_sub(self.offset));
        // SAFETY: the caller's promise.
        unsafe {
            let first = self.pages.down(to);
            maps::remap(self.pages, from, len, to)
                && arch::syscall(nr::MPROTECT, [first, to - first + len, prot, 0, 0, 0]) == 0
        }
    }

    /// Gives back what is left.
    ///
    /// # Safety
    ///
    /// Nothing of it is used any more where it is.
    pub unsafe fn release(self) {
        // SAFETY: the caller's promise.
        unsafe { arch::syscall(nr::MUNMAP, [self.start, self.len, 0, 0, 0, 0]) };
    }
}

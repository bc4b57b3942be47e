//! `$ORIGIN`: the directory of the file that this process was made of. Paths that begin with it are
//! made in memory of their own.

use crate::arch::{self, nr};
use crate::message;
use crate::params::Params;

const SELF: &[u8] = b"/proc/self/exe\0";
/// Where nothing can be found: where the kernel does not tell, as without /proc.
const NOWHERE: &[u8] = b"/dev/null/";
/// PATH_MAX (linux/limits.h).
const LONGEST: usize = 4096;
const PROT_READ_WRITE: u64 = 1 | 2;
const MAP_PRIVATE_ANONYMOUS: u64 = 2 | 0x20;

/// The paths made so far.
pub struct Origin {
    /// The directory, and how long it is.
    directory: *mut u8,
    len: usize,
    /// Where the next path goes.
    next: *mut u8,
}

impl Origin {
    /// No path yet.
    pub fn new() -> Self {
        Self { directory: core::ptr::null_mut(), len: 0, next: core::ptr::null_mut() }
    }

    /// The address of the directory with `rest`, a string, behind it.
    ///
    /// # Safety
    ///
    /// The parameters tell how much room all paths take.
    pub unsafe fn path(&mut self, p: &Params, mut rest: *const u8) -> u64 {
        // SAFETY: the caller's promise; `rest` ends with a NUL.
        unsafe {
            if self.directory.is_null() {
                self.find(p);
            }
            let path = self.next;
            core::ptr::copy_nonoverlapping(self.directory, path, self.len);
            let mut to = path.add(self.len);
            loop {
                let byte = *rest;
                *to = byte;
                to = to.add(1);
                rest = rest.add(1);
                if byte == 0 {
                    break;
                }
            }
            self.next = to;
            path as u64
        }
    }

    unsafe fn find(&mut self, p: &Params) {
        let room = p.origin_room + LONGEST as u64;
        // SAFETY: fresh memory, into which the kernel writes a path of at most this length.
        unsafe {
            let args = [0, room, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, u64::MAX, 0];
            let at = arch::syscall(nr::MMAP, args);
            if at < 0 {
                message::fail(message::MAPPING);
            }
            self.directory = at as *mut u8;
            self.next = self.directory.add(LONGEST);
            let mut len = arch::readlink(SELF.as_ptr() as u64, at as u64, LONGEST as u64);
            // What is not reachable from this root has no path that begins so.
            if len <= 0 || *self.directory != b'/' {
                core::ptr::copy_nonoverlapping(NOWHERE.as_ptr(), self.directory, NOWHERE.len());
                len = NOWHERE.len() as i64;
            }
            let mut len = len as usize;
            // As ld.so has it, the root's name is a slash.
            while len > 1 && *self.directory.add(len - 1) != b'/' {
                len -= 1;
            }
            self.len = if len > 1 { len - 1 } else { 1 };
        }
    }
}

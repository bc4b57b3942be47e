//! What machines have in common whose longs and addresses have 64 bits: the kernel's structures of longs.

use super::{Stat, nr, syscall};
use crate::format::FILE_DEVICE;

/// open(2): every file can be opened anyway.
pub const O_LARGEFILE: u64 = 0;

impl Stat {
    /// Makes it that of the embedded file of this number.
    pub fn identify(&mut self, number: u64, size: u64) {
        (self.dev, self.ino, self.size) = (FILE_DEVICE, number, size);
    }
}

/// lseek(2).
pub fn seek(descriptor: i64, offset: u64, whence: u64) -> i64 {
    // SAFETY: changes nothing but the descriptor's position.
    unsafe { syscall(nr::LSEEK, [descriptor as u64, offset, whence, 0, 0, 0]) }
}

/// How large a file may become.
pub fn file_size_limit() -> u64 {
    const RLIMIT_FSIZE: u64 = 1;
    let mut limits = [u64::MAX; 2];
    // SAFETY: the kernel writes the two words.
    unsafe { syscall(nr::GETRLIMIT, [RLIMIT_FSIZE, limits.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    limits[0]
}

/// `f_flags` of the file system that a file is on; 0 if it does not say.
pub fn file_system_flags(fd: u64) -> u64 {
    // `struct statfs` (asm-generic/statfs.h), by words of 8 bytes: f_flags, and its size.
    const FLAGS: usize = 10;
    const SIZE: usize = 15;
    let mut state = [0u64; SIZE];
    // SAFETY: the kernel writes the structure.
    unsafe { syscall(nr::FSTATFS, [fd, state.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    state[FLAGS]
}

/// Seconds or nanoseconds, as utimensat(2) takes them.
pub type Time = u64;

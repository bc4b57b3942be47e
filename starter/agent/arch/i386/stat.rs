//! What fstat64(2) and its kind write.

use crate::format::FILE_DEVICE;
use crate::state::Facts;

/// Seconds or nanoseconds, as these calls and utimensat(2) have them.
pub type Time = u32;

/// `struct stat64` (arch/x86/include/uapi/asm/stat.h); no field is at a multiple of more than 4.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Stat {
    pub dev: u64,
    pad: u32,
    /// As many bits of the inode as older calls have.
    old_ino: u32,
    pub mode: u32,
    pub nlink: u32,
    uid: u32,
    gid: u32,
    rdev: u64,
    pad3: u32,
    pub size: u64,
    blksize: u32,
    blocks: u64,
    atime: [Time; 2],
    mtime: [Time; 2],
    ctime: [Time; 2],
    pub ino: u64,
}

const _: () = assert!(size_of::<Stat>() == 96);

impl Stat {
    /// What it says.
    pub fn facts(&self) -> Facts {
        let (links, modified) = (self.nlink.into(), self.mtime.map(u64::from));
        Facts { mode: self.mode, links, size: self.size, modified }
    }

    /// Makes it that of the embedded file of this number.
    pub fn identify(&mut self, number: u64, size: u64) {
        (self.dev, self.ino, self.size) = (FILE_DEVICE, number, size);
        self.old_ino = number as u32;
    }
}

//! What fstat(2) says of an open file.

use core::mem::MaybeUninit;

use crate::arch::{self, nr};

/// The bits of st_mode that say what it is (inode(7)).
pub const S_IFMT: u32 = 0o170000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFCHR: u32 = 0o020000;
pub const S_IFREG: u32 = 0o100000;

/// `struct stat`, as the machine has it.
pub struct Stat([u64; arch::STAT_WORDS]);

impl Stat {
    /// That of a descriptor.
    pub fn of(descriptor: u64) -> Option<Self> {
        let mut words = MaybeUninit::<[u64; arch::STAT_WORDS]>::uninit();
        let to = words.as_mut_ptr() as u64;
        // SAFETY: the kernel writes all of it, unless it refuses.
        unsafe {
            let result = arch::syscall(nr::FSTAT, [descriptor, to, 0, 0, 0, 0]);
            (result == 0).then(|| Self(words.assume_init()))
        }
    }

    /// st_mode.
    pub fn mode(&self) -> u32 {
        self.at(arch::STAT_MODE)
    }

    /// st_uid.
    pub fn user(&self) -> u32 {
        self.at(arch::STAT_UID)
    }

    /// st_size.
    pub fn size(&self) -> u64 {
        self.at(arch::STAT_SIZE)
    }

    /// st_rdev.
    pub fn device(&self) -> u64 {
        self.at(arch::STAT_RDEV)
    }

    fn at<T>(&self, offset: usize) -> T {
        // SAFETY: all offsets lie in the structure, and any bits are a number.
        unsafe { self.0.as_ptr().byte_add(offset).cast::<T>().read_unaligned() }
    }
}

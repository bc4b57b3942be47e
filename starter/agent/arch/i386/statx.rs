//! statx(2), by which newer C libraries of 32 bits ask for a file's state: its times do not end in 2038.

use crate::Call;
use crate::format::{FILE_DEVICE, SITE_LOADER};
use crate::index::Index;
use crate::state::{self, AT_EMPTY_PATH, Facts};

/// STATX_BASIC_STATS: all that stat(2) says.
const BASIC: u32 = 0x7ff;

/// `struct statx` (linux/stat.h).
#[repr(C)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    atime: Timestamp,
    btime: Timestamp,
    ctime: Timestamp,
    mtime: Timestamp,
    rdev: [u32; 2],
    /// Major and minor number.
    dev: [u32; 2],
    more: [u64; 14],
}

#[repr(C)]
struct Timestamp {
    seconds: u64,
    nanoseconds: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<Statx>() == 256);

/// Major and minor number of [`FILE_DEVICE`], of which the C library makes it (gnu_dev_makedev(3)).
const DEVICE: [u32; 2] = [
    (FILE_DEVICE >> 32 & 0xffff_f000 | FILE_DEVICE >> 8 & 0xfff) as u32,
    (FILE_DEVICE >> 12 & 0xffff_ff00 | FILE_DEVICE & 0xff) as u32,
];

/// Answers it, as [`state`] does for the older calls.
pub fn answer(index: &Index, call: &Call<'_>) -> i64 {
    let [descriptor, path, flags, _, to, _] = *call.args;
    let result = call.make();
    if path == 0 || to == 0 || call.site != SITE_LOADER {
        return result;
    }
    let to = to as *mut Statx;
    if result != 0 {
        if !state::is_embedded_directory(index, call, path, result) {
            return result;
        }
        // SAFETY: the structure is the loader's, for this.
        unsafe {
            to.write_bytes(0, 1);
            (*to).mask = BASIC;
            (*to).mode = state::DIRECTORY as u16;
            (*to).nlink = 2;
        }
        return 0;
    }
    // SAFETY: the kernel has just read the string and filled the structure.
    let (is_empty, found) = unsafe { ((path as *const u8).read() == 0, &mut *to) };
    if !is_empty || flags & AT_EMPTY_PATH == 0 {
        return result;
    }
    let Timestamp { seconds, nanoseconds, .. } = found.mtime;
    let modified = [seconds, nanoseconds.into()];
    let (mode, links) = (found.mode.into(), found.nlink.into());
    let facts = Facts { mode, links, size: found.size, modified };
    if let Some((number, size)) = state::recognise(index, descriptor, &facts) {
        (found.dev, found.ino, found.size) = (DEVICE, number, size);
    }
    result
}

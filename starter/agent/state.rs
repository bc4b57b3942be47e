//! A file's state is asked for.

use crate::arch::Stat;
use crate::format::{FILE_DEVICE, SERVED_SECONDS, SITE_LOADER};
use crate::index::Index;
use crate::path::Path;
use crate::{Call, identity, own};

const ENOENT: i64 = 2;
const EACCES: i64 = 13;
const ENOTDIR: i64 = 20;
const DIRECTORY: u32 = 0o040_555;
const AT_EMPTY_PATH: u64 = 0x1000;

/// Answers fstat(2): the loader compares device and inode with those of what it has loaded.
pub fn of_descriptor(index: &Index, call: &Call<'_>, descriptor: u64, to: u64) -> i64 {
    let result = call.make();
    if result != 0 || to == 0 || call.site != SITE_LOADER {
        return result;
    }
    // SAFETY: the kernel has just filled it, and the loader has given it for that.
    let stat = unsafe { &mut *(to as *mut Stat) };
    let number = if let Some(file) = own::find(index, descriptor as i32 as i64) {
        stat.size = file.size;
        u64::from(file.number)
    } else if stat.nlink == 0 && stat.mtime[0] == SERVED_SECONDS && stat.mtime[1] != 0 {
        stat.mtime[1]
    } else {
        match identity::find_by_stat(index, descriptor as i64, stat) {
            Some(file) => u64::from(file.number),
            None => return result,
        }
    };
    stat.dev = FILE_DEVICE;
    stat.ino = number;
    result
}

/// Answers stat(2): the loader gives up directories that do not exist.
pub fn of_path(index: &Index, call: &Call<'_>, path: u64, to: u64) -> i64 {
    let result = call.make();
    if !matches!(-result, ENOENT | EACCES | ENOTDIR) || call.site != SITE_LOADER {
        return result;
    }
    // SAFETY: the kernel has read the string. The structure is the loader's, for this.
    unsafe {
        let Some(path) = Path::at(path).filter(|path| index.has_directory(*path)) else {
            return result;
        };
        let _ = path;
        let to = to as *mut Stat;
        to.write_bytes(0, 1);
        (*to).mode = DIRECTORY;
        (*to).nlink = 2;
    }
    0
}

/// Answers newfstatat(2), which does both.
pub fn newfstatat(index: &Index, call: &Call<'_>) -> i64 {
    let [descriptor, path, to, flags, ..] = *call.args;
    // SAFETY: a string of the caller's.
    let is_empty = path != 0 && unsafe { (path as *const u8).read() } == 0;
    if is_empty && flags & AT_EMPTY_PATH != 0 {
        of_descriptor(index, call, descriptor, to)
    } else if path != 0 {
        of_path(index, call, path, to)
    } else {
        call.make()
    }
}

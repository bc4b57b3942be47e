//! A file's state is asked for.

use crate::arch::Stat;
use crate::format::{SERVED_SECONDS, SITE_LOADER};
use crate::index::Index;
use crate::path::Path;
use crate::{Call, identity, own};

const ENOENT: i64 = 2;
const EACCES: i64 = 13;
const ENOTDIR: i64 = 20;
pub const DIRECTORY: u32 = 0o040_555;
pub const AT_EMPTY_PATH: u64 = 0x1000;

/// What the kernel says of a file.
pub struct Facts {
    pub mode: u32,
    pub links: u64,
    pub size: u64,
    /// Seconds and nanoseconds.
    pub modified: [u64; 2],
}

/// The file that a descriptor stands for: its number, and its size.
pub fn recognise(index: &Index, descriptor: u64, facts: &Facts) -> Option<(u64, u64)> {
    if let Some(file) = own::find(index, descriptor as i32 as i64) {
        return Some((file.number.into(), file.size));
    }
    let [seconds, nanoseconds] = facts.modified;
    if facts.links == 0 && seconds == SERVED_SECONDS && nanoseconds != 0 {
        return Some((nanoseconds, facts.size));
    }
    let file = identity::find_by_state(index, descriptor as i64, facts.mode, facts.size)?;
    Some((file.number.into(), facts.size))
}

/// Whether a file that the loader has not found is a directory that it is to take for one: it gives up those that
/// do not exist.
pub fn is_embedded_directory(index: &Index, call: &Call<'_>, path: u64, result: i64) -> bool {
    matches!(-result, ENOENT | EACCES | ENOTDIR)
        && call.site == SITE_LOADER
        // SAFETY: the kernel has read the string.
        && unsafe { Path::at(path) }.is_some_and(|path| index.has_directory(path))
}

/// Answers fstat(2): the loader compares device and inode with those of what it has loaded.
pub fn of_descriptor(index: &Index, call: &Call<'_>, descriptor: u64, to: u64) -> i64 {
    let result = call.make();
    if result != 0 || to == 0 || call.site != SITE_LOADER {
        return result;
    }
    // SAFETY: the kernel has just filled it, and the loader has given it for that.
    let stat = unsafe { &mut *(to as *mut Stat) };
    if let Some((number, size)) = recognise(index, descriptor, &stat.facts()) {
        stat.identify(number, size);
    }
    result
}

/// Answers stat(2).
pub fn of_path(index: &Index, call: &Call<'_>, path: u64, to: u64) -> i64 {
    let result = call.make();
    if !is_embedded_directory(index, call, path, result) {
        return result;
    }
    let to = to as *mut Stat;
    // SAFETY: the structure is the loader's, for this.
    unsafe {
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

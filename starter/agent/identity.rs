//! Whether a file is the same as an embedded one, whatever its name: by its bytes.

use crate::arch::{self, Stat, nr};
use crate::format::{FILE_DATA, File, Part};
use crate::index::Index;

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
/// Bytes compared at once; they are on the stack.
const CHUNK: usize = 1024;

/// The embedded file that an open one equals.
pub fn find(index: &Index, descriptor: i64) -> Option<&'static File> {
    let mut stat = core::mem::MaybeUninit::<Stat>::uninit();
    let args = [descriptor as u64, stat.as_mut_ptr() as u64, 0, 0, 0, 0];
    // SAFETY: the kernel fills the structure.
    if unsafe { arch::syscall(nr::FSTAT, args) } != 0 {
        return None;
    }
    // SAFETY: just filled.
    let stat = unsafe { stat.assume_init_ref() };
    find_by_state(index, descriptor, stat.mode, stat.size)
}

/// The same, if the file's st_mode and st_size are known.
pub fn find_by_state(
    index: &Index,
    descriptor: i64,
    mode: u32,
    size: u64,
) -> Option<&'static File> {
    if mode & S_IFMT != S_IFREG {
        return None;
    }
    let is_same = |file: &&File| {
        file.kind != FILE_DATA
            && file.size == size
            && file.parts[0].len > 0
            && file.parts.iter().all(|part| equals(index, descriptor, part))
    };
    index.files().find(is_same)
}

fn equals(index: &Index, descriptor: i64, part: &Part) -> bool {
    let mut offset = part.offset;
    for expected in index.bytes(part).chunks(CHUNK) {
        let mut buffer = [0u8; CHUNK];
        let Some(found) = buffer.get_mut(..expected.len()) else { return false };
        if read(descriptor, found, offset) != expected.len() as i64 || found != expected {
            return false;
        }
        offset += expected.len() as u64;
    }
    true
}

/// pread(2).
pub fn read(descriptor: i64, to: &mut [u8], offset: u64) -> i64 {
    let args = [descriptor as u64, to.as_mut_ptr() as u64, to.len() as u64, offset, 0, 0];
    // SAFETY: the kernel writes within `to`.
    unsafe { arch::syscall(nr::PREAD64, args) }
}

//! Plugins mapped from the output itself: their pages are shared by all processes. A descriptor of
//! the output is a plugin's if its position lies within the plugin, where [`open`] puts it; reading
//! starts there, and the offsets of all other calls count from there.

use crate::Call;
use crate::arch::{self, Stat, nr};
use crate::format::{FILE_PLUGIN, File};
use crate::identity;
use crate::index::Index;

const PAGE: u64 = 4096;
const AT_FDCWD: u64 = -100i64 as u64;
/// O_CLOEXEC, and what opens a file of any size.
const FLAGS: u64 = 0o2_000_000 | arch::O_LARGEFILE;
const SEEK_SET: u64 = 0;
const SEEK_CUR: u64 = 1;
const MAP_ANONYMOUS: u64 = 0x20;
const SELF: &[u8; 15] = b"/proc/self/exe\0";
/// How much of a file has to be where it is expected: the ELF header.
const HEAD: usize = 64;

/// A descriptor of the output that stands for a plugin; `None` if the output cannot be opened, or
/// is another file.
pub fn open(index: &Index, file: &File) -> Option<i64> {
    if !index.has_own_file() || file.kind != FILE_PLUGIN || file.output == 0 {
        return None;
    }
    let args = [AT_FDCWD, SELF.as_ptr() as u64, FLAGS, 0, 0, 0];
    // SAFETY: the string ends with a NUL.
    let descriptor = unsafe { arch::syscall(nr::OPENAT, args) };
    if descriptor < 0 {
        return None;
    }
    let mut head = [0; HEAD];
    let same = identity::read(descriptor, &mut head, file.output) == HEAD as i64
        && index.bytes(&file.parts[0]).get(..HEAD) == Some(&head[..]);
    if same && arch::seek(descriptor, file.output, SEEK_SET) >= 0 {
        return Some(descriptor);
    }
    // SAFETY: the descriptor was opened here.
    unsafe { arch::syscall(nr::CLOSE, [descriptor as u64, 0, 0, 0, 0, 0]) };
    None
}

/// The plugin that a descriptor stands for.
pub fn find(index: &Index, descriptor: i64) -> Option<&'static File> {
    if !index.has_own_file() || descriptor < 0 {
        return None;
    }
    let position = arch::seek(descriptor, 0, SEEK_CUR);
    let holds = |file: &&File| {
        let end = file.output + file.size.next_multiple_of(PAGE);
        file.kind == FILE_PLUGIN
            && file.output != 0
            && (file.output..end).contains(&(position as u64))
    };
    let file = index.files().find(holds).filter(|_| position > 0)?;
    let (mut this, mut own) = (Stat::default(), Stat::default());
    // SAFETY: the kernel fills the structures.
    let results = unsafe {
        let args = [descriptor as u64, &raw mut this as u64, 0, 0, 0, 0];
        let of_self = [AT_FDCWD, SELF.as_ptr() as u64, &raw mut own as u64, 0, 0, 0];
        (arch::syscall(nr::FSTAT, args), arch::syscall(nr::NEWFSTATAT, of_self))
    };
    (results == (0, 0) && (this.dev, this.ino) == (own.dev, own.ino)).then_some(file)
}

/// Answers mmap(2).
pub fn map(index: &Index, call: &Call<'_>) -> i64 {
    let [address, len, prot, flags, descriptor, offset] = *call.args;
    let file =
        if flags & MAP_ANONYMOUS == 0 { find(index, descriptor as i32 as i64) } else { None };
    let offset = offset.wrapping_add(file.map_or(0, |file| file.output));
    // SAFETY: what the loader would do by itself, from another part of the file.
    unsafe { arch::syscall(call.number, [address, len, prot, flags, descriptor, offset]) }
}

/// Answers pread64(2).
pub fn read(index: &Index, call: &Call<'_>) -> i64 {
    let [descriptor, to, len, offset, ..] = *call.args;
    let file = find(index, descriptor as i32 as i64);
    let offset = offset.wrapping_add(file.map_or(0, |file| file.output));
    // SAFETY: as above.
    unsafe { arch::syscall(call.number, [descriptor, to, len, offset, 0, 0]) }
}

/// Answers lseek(2).
pub fn position(index: &Index, call: &Call<'_>) -> i64 {
    let [descriptor, offset, whence, ..] = *call.args;
    moved(index, descriptor, offset, whence).unwrap_or_else(|| call.make())
}

/// The position that a plugin gets by lseek(2); `None` if the descriptor is none's, or is not told from the start.
pub fn moved(index: &Index, descriptor: u64, offset: u64, whence: u64) -> Option<i64> {
    let file = find(index, descriptor as i32 as i64).filter(|_| whence == SEEK_SET)?;
    let result = arch::seek(descriptor as i64, offset.wrapping_add(file.output), whence);
    Some(if result < 0 { result } else { result - file.output as i64 })
}

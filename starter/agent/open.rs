//! A file is opened.

use crate::arch::{self, nr};
use crate::format::{FILE_DATA, FILE_MODULE, File, REFUSAL, SITE_LOADER};
use crate::index::Index;
use crate::path::Path;
use crate::{Call, identity, refusal, serve};

const ENOENT: i64 = 2;
const EACCES: i64 = 13;
/// Any of them: the file is not only read (O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_PATH).
const NOT_READING: u64 = 0o1 | 0o2 | 0o100 | 0o1000 | 0o10000000 | arch::O_DIRECTORY;
const AT_FDCWD: u64 = -100i64 as u64;
const MAGIC: &[u8; 4] = b"\x7fELF";
/// The file that tells the loader where the host's libraries are.
const CACHE: &[u8] = b"/etc/ld.so.cache";

/// Answers open(2) or openat(2).
pub fn open(index: &Index, call: &Call<'_>, path: u64, flags: u64) -> i64 {
    if path == 0 || flags & NOT_READING != 0 {
        return call.make();
    }
    if call.site != SITE_LOADER && !is_readable(path) {
        return call.make();
    }
    // SAFETY: the loader's own string, or one that the kernel could just read. A path relative to
    // another directory than the current one is none of the loader's.
    let Some(path) = (unsafe { Path::at(path) }) else {
        return call.make();
    };
    let named = index.named(path);
    if call.site != SITE_LOADER {
        return match named.filter(|file| file.kind == FILE_DATA) {
            Some(file) => serve::whole(index, file, path),
            None => call.make(),
        };
    }
    match named {
        Some(file) if file.kind == FILE_MODULE => module(index, call, file),
        Some(file) => serve::whole(index, file, path),
        None if path.0.ends_with(REFUSAL) => -EACCES,
        None if index.denies() => denied(index, call, path),
        None => call.make(),
    }
}

/// A module that is there already: the host's file if it is the same, so that it can be loaded into
/// another namespace; else something that only has its identity.
fn module(index: &Index, call: &Call<'_>, file: &File) -> i64 {
    if !index.denies() {
        let descriptor = call.make();
        if descriptor >= 0 {
            if identity::find(index, descriptor).is_some_and(|same| same.number == file.number) {
                return descriptor;
            }
            close(descriptor);
        }
    }
    serve::identity(file)
}

/// What is not embedded, where nothing comes from the host: what does not exist does not exist; data
/// is read; a library is refused by a message, and so is an empty file, which stands for one that is
/// embedded under another path: the loader could only say that it is too short.
fn denied(index: &Index, call: &Call<'_>, path: Path<'_>) -> i64 {
    if path.is(CACHE) {
        return -ENOENT;
    }
    let descriptor = call.make();
    if descriptor < 0 {
        return descriptor;
    }
    let mut magic = [0; 4];
    match identity::read(descriptor, &mut magic, 0) {
        0 => {
            close(descriptor);
            return refusal::serve(path);
        }
        4 if magic == *MAGIC => {}
        _ => return descriptor,
    }
    match identity::find(index, descriptor) {
        Some(file) if file.kind == FILE_MODULE => return descriptor,
        Some(file) => {
            close(descriptor);
            return serve::whole(index, file, path);
        }
        None => close(descriptor),
    }
    // It may be embedded under a name that is tried later.
    if index.has_component(path) { -ENOENT } else { refusal::serve(path) }
}

/// Whether the kernel can read a path at this address: the C library's callers may give any.
fn is_readable(path: u64) -> bool {
    const EFAULT: i64 = 14;
    const F_OK: u64 = 0;
    // SAFETY: the kernel reads the string if it can.
    unsafe { arch::syscall(nr::FACCESSAT, [AT_FDCWD, path, F_OK, 0, 0, 0]) != -EFAULT }
}

fn close(descriptor: i64) {
    // SAFETY: the descriptor was opened here and is nobody else's yet.
    unsafe { arch::syscall(nr::CLOSE, [descriptor as u64, 0, 0, 0, 0, 0]) };
}

//! The pool: a directory with libraries that many outputs have in common. What is mapped from there is in memory once,
//! whichever outputs run.
//!
//! Every output has all its pages itself. What the pool has is taken only if nobody but root can have put it there: the
//! directory, those that lead to it and the file are root's, and nobody else may write to them. The directories are gone through one
//! by one, without links, so that what was looked at is what is opened. If fs-verity guards the file, its digest must be the
//! recorded one. A process with privileges that its caller lacks does not come here: it does not open its own file either.

use core::cell::Cell;

use crate::PAGE;
use crate::arch::{self, nr};
use crate::own_file::Source;
use crate::params::{Map, Params, PoolFile};
use crate::stat::{S_IFDIR, S_IFMT, S_IFREG, Stat};

const AT_FDCWD: u64 = -100i64 as u64;
const O_PATH: u64 = 0o10000000;
/// Writable by the group or others; with an access control list, by anybody whom it names (acl(5)).
const S_IWOTHERS: u32 = 0o022;
/// linux/fsverity.h.
const FS_IOC_MEASURE_VERITY: u64 = 0xc004_6686;
const FS_VERITY_HASH_ALG_SHA256: u16 = 1;
/// The digest is longer than there is room for: it is of another kind.
const EOVERFLOW: i64 = 75;

/// `struct fsverity_digest` (linux/fsverity.h), with room for SHA-256.
#[repr(C)]
struct Measured {
    algorithm: u16,
    size: u16,
    digest: [u8; 32],
}

/// The pool of an output.
pub struct Pool<'a> {
    files: &'a [PoolFile],
    /// The directory's descriptor; none if there is no pool that can be trusted.
    directory: Option<u64>,
    /// The number of the file that was asked for last, and its descriptor if it can be trusted.
    last: Cell<(u16, Option<u64>)>,
}

impl<'a> Pool<'a> {
    /// Opens the directory.
    ///
    /// # Safety
    ///
    /// The tables of `p` are as they were written.
    pub unsafe fn open(p: &'a Params) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let directory = directory(p.pool.records::<u8>(p));
            Self { files: p.pool_files.records(p), directory, last: Cell::new((0, None)) }
        }
    }

    /// The file that has a mapping's pages, and where; `None` if there is none that can be trusted.
    pub fn source(&self, map: &Map) -> Option<Source> {
        let descriptor = self.descriptor(map.pool_file)?;
        Some(Source { descriptor, offset: u64::from(map.pool_page) * PAGE })
    }

    /// The descriptor of a file, by its number. What belongs to one library follows one another: one is open at a time.
    fn descriptor(&self, number: u16) -> Option<u64> {
        let directory = self.directory?;
        let file = self.files.get(usize::from(number).checked_sub(1)?)?;
        let (last, descriptor) = self.last.get();
        if last == number {
            return descriptor;
        }
        close(descriptor);
        let descriptor = open_file(directory, file);
        self.last.set((number, descriptor));
        descriptor
    }

    /// Closes what is open.
    pub fn close(self) {
        close(self.directory);
        close(self.last.get().1);
    }
}

/// The directory to which these names lead, a NUL behind each.
fn directory(mut names: &[u8]) -> Option<u64> {
    if names.is_empty() {
        return None;
    }
    let mut directory = open_directory(AT_FDCWD, b"/\0")?;
    while let Some(end) = names.iter().position(|&byte| byte == 0) {
        let next = open_directory(directory, names);
        close(Some(directory));
        directory = next?;
        names = names.get(end + 1..).unwrap_or_default();
    }
    Some(directory)
}

/// A directory in another one, whose name ends with a NUL, if it can be trusted.
fn open_directory(directory: u64, name: &[u8]) -> Option<u64> {
    let flags = O_PATH | arch::O_DIRECTORY | arch::O_NOFOLLOW | arch::O_CLOEXEC;
    open(directory, name, flags, |_, stat| stat.mode() & S_IFMT == S_IFDIR)
}

/// A file of the pool, if it can be trusted.
fn open_file(directory: u64, file: &PoolFile) -> Option<u64> {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    let mut name = [0; 2 * 32 + 1];
    for (digits, byte) in name.as_chunks_mut::<2>().0.iter_mut().zip(file.sha256) {
        *digits = [digit(byte >> 4), digit(byte & 15)];
    }
    let flags = arch::O_NOFOLLOW | arch::O_NONBLOCK | arch::O_NOCTTY | arch::O_CLOEXEC;
    open(directory, &name, flags, |opened, stat| {
        stat.mode() & S_IFMT == S_IFREG
            && stat.size() == file.len
            && is_unchanged(opened, &file.verity)
    })
}

/// Opens what nobody but root can have changed, if it is as wanted.
fn open(
    directory: u64,
    name: &[u8],
    flags: u64,
    is_wanted: impl FnOnce(u64, &Stat) -> bool,
) -> Option<u64> {
    let name = name.as_ptr() as u64;
    // SAFETY: the name ends with a NUL.
    let opened = unsafe { arch::syscall(nr::OPENAT, [directory, name, flags, 0, 0, 0]) };
    if opened < 0 {
        return None;
    }
    let opened = opened as u64;
    let is_roots = |stat: &Stat| stat.user() == 0 && stat.mode() & S_IWOTHERS == 0;
    if Stat::of(opened).is_some_and(|stat| is_roots(&stat) && is_wanted(opened, &stat)) {
        return Some(opened);
    }
    close(Some(opened));
    None
}

/// Whether fs-verity finds this digest, or does not guard the file.
fn is_unchanged(descriptor: u64, digest: &[u8; 32]) -> bool {
    let mut measured = Measured { algorithm: 0, size: 32, digest: [0; 32] };
    let args = [descriptor, FS_IOC_MEASURE_VERITY, (&raw mut measured) as u64, 0, 0, 0];
    // SAFETY: it writes to `measured` only, and no more than there is room for.
    match -unsafe { arch::syscall(nr::IOCTL, args) } {
        0 => measured.algorithm == FS_VERITY_HASH_ALG_SHA256 && measured.digest == *digest,
        error => error != EOVERFLOW,
    }
}

fn close(descriptor: Option<u64>) {
    if let Some(descriptor) = descriptor {
        // SAFETY: it was opened here, and nothing uses it any more.
        unsafe { arch::syscall(nr::CLOSE, [descriptor, 0, 0, 0, 0, 0]) };
    }
}

//! Descriptors for what is embedded: files in memory, marked by their times (see
//! [`SERVED_SECONDS`](crate::format::SERVED_SECONDS)), so that nothing has to be remembered.

use crate::arch::{self, Time, nr};
use crate::format::{File, SERVED_SECONDS};
use crate::index::Index;
use crate::path::Path;
use crate::{elf, own};

const MFD_CLOEXEC: u64 = 1;
const MFD_ALLOW_SEALING: u64 = 2;
/// Linux 6.3; the file can be mapped executable but not be executed. Where vm.memfd_noexec is 2 no
/// other is permitted.
const MFD_NOEXEC_SEAL: u64 = 8;
const F_ADD_SEALS: u64 = 1033;
/// F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE.
const SEALS: u64 = 2 | 4 | 8;
const EFBIG: i64 = 27;
/// statfs(2): a file system from which nothing is executed.
const ST_NOEXEC: u64 = 8;
const EINTR: i64 = 4;
const EINVAL: i64 = 22;
const AT_FDCWD: u64 = -100i64 as u64;
/// O_TMPFILE, O_CLOEXEC, O_RDWR.
const TEMPORARY: u64 = 0o20_000_000 | arch::O_DIRECTORY | 0o2_000_000 | 0o2;
/// Where files without a name can be, if none in memory is permitted.
const DIRECTORIES: [[u8; 9]; 4] =
    [*b"/dev/shm\0", *b"/tmp\0\0\0\0\0", *b"/var/tmp\0", *b".\0\0\0\0\0\0\0\0"];
/// The longest name of a file in memory (memfd_create(2)).
const LONGEST: usize = 249;

/// An open file with the content of an embedded one: the output itself, if it can be opened.
pub fn whole(index: &Index, file: &File, path: Path<'_>) -> i64 {
    if let Some(descriptor) = own::open(index, file) {
        return descriptor;
    }
    marked(path.split().1, &[index.bytes(&file.parts[0])], file.number)
}

/// An open file that the loader takes for a module that it has loaded, and can load nothing from: an
/// ELF header without program headers.
pub fn identity(file: &File) -> i64 {
    let header = elf::Header::library(0);
    marked(b"embedded", &[header.bytes()], file.number)
}

/// An open file with these bytes, its mark set.
pub fn marked(name: &[u8], contents: &[&[u8]], number: u32) -> i64 {
    let size: u64 = contents.iter().map(|bytes| bytes.len() as u64).sum();
    // Writing more would end the process by SIGXFSZ.
    if size > arch::file_size_limit() {
        return -EFBIG;
    }
    let descriptor = create(name);
    if descriptor < 0 {
        return descriptor;
    }
    let fd = descriptor as u64;
    let (seconds, number) = (SERVED_SECONDS as Time, Time::from(number));
    let times = [seconds, number, seconds, number];
    let mut error = write(fd, contents);
    if error == 0 {
        // SAFETY: reads the four words.
        error = unsafe { arch::syscall(nr::UTIMENSAT, [fd, 0, times.as_ptr() as u64, 0, 0, 0]) };
    }
    // SAFETY: the descriptor was made here. Seals are refused where the file is none in memory.
    unsafe {
        if error != 0 {
            arch::syscall(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
            return error;
        }
        arch::syscall(nr::FCNTL, [fd, F_ADD_SEALS, SEALS, 0, 0, 0]);
    }
    descriptor
}

fn create(name: &[u8]) -> i64 {
    let mut text = [0u8; LONGEST + 1];
    let len = name.len().min(LONGEST);
    if let (Some(to), Some(from)) = (text.get_mut(..len), name.get(..len)) {
        to.copy_from_slice(from);
    }
    let text = text.as_ptr() as u64;
    // SAFETY: the strings end with NULs.
    unsafe {
        let mut result =
            arch::syscall(nr::MEMFD_CREATE, [text, MFD_CLOEXEC | MFD_NOEXEC_SEAL, 0, 0, 0, 0]);
        if result == -EINVAL {
            let flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
            result = arch::syscall(nr::MEMFD_CREATE, [text, flags, 0, 0, 0, 0]);
        }
        if result >= 0 {
            return result;
        }
        for directory in DIRECTORIES {
            let args = [AT_FDCWD, directory.as_ptr() as u64, TEMPORARY, 0o600, 0, 0];
            let temporary = arch::syscall(nr::OPENAT, args);
            if temporary >= 0 {
                if is_executable(temporary as u64) {
                    return temporary;
                }
                arch::syscall(nr::CLOSE, [temporary as u64, 0, 0, 0, 0, 0]);
            }
        }
        result
    }
}

/// Whether the file system that the file is on lets its files be mapped executable, as far as it says.
fn is_executable(fd: u64) -> bool {
    arch::file_system_flags(fd) & ST_NOEXEC == 0
}

/// Writes all, from the file's start; the file's position stays there.
fn write(fd: u64, contents: &[&[u8]]) -> i64 {
    let mut offset = 0;
    for &bytes in contents {
        let mut rest = bytes;
        while !rest.is_empty() {
            let args = [fd, rest.as_ptr() as u64, rest.len() as u64, offset, 0, 0];
            // SAFETY: the kernel reads `rest`.
            match unsafe { arch::syscall(nr::PWRITE64, args) } {
                error if error == -EINTR => {}
                error if error < 0 => return error,
                written => {
                    offset += written as u64;
                    let Some(left) = rest.get(written as usize..) else { return 0 };
                    rest = left;
                }
            }
        }
    }
    0
}

//! System calls with their errors as values: nothing here allocates, since a process that has just been forked makes them.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Remounts, without devices and privileges.
pub(super) fn make_read_only(point: &CStr, no_exec: bool) -> Result<(), Errno> {
    let no_exec = if no_exec { libc::MS_NOEXEC } else { 0 };
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | libc::MS_NOSUID;
    mount(None, point, None, flags | libc::MS_NODEV | no_exec, None)
}

/// A mount point that is not there any more, or below one that is covered, is none.
pub(super) fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
        other => other,
    }
}

/// mount(2).
pub(super) fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    data: Option<&CStr>,
) -> Result<(), Errno> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let (source, kind, data) = (pointer(source), pointer(kind), pointer(data));
    // SAFETY: each is null or ends with a NUL.
    let result = unsafe { libc::mount(source, target.as_ptr(), kind, flags, data.cast()) };
    Errno::result(result).map(drop)
}

/// fchdir(2).
pub(super) fn change_directory(to: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: an open descriptor.
    Errno::result(unsafe { libc::fchdir(to.as_raw_fd()) }).map(drop)
}

/// A directory, to be named and not read.
pub(super) fn open_directory(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, libc::O_PATH | libc::O_DIRECTORY)
}

/// open(2), to be closed by programs that are executed.
pub(super) fn open(path: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the path ends with a NUL.
    let fd = Errno::result(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) })?;
    // SAFETY: new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Writes all of a small file of /proc.
pub(super) fn write(path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    nix::unistd::write(open(path, libc::O_WRONLY)?, bytes).map(drop)
}

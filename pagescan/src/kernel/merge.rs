//! PR_SET_MEMORY_MERGE (prctl(2), Linux 6.4): all memory of a process that KSM can merge may be merged. It survives fork(2) and
//! execve(2).

use std::io;

/// The option's number (include/uapi/linux/prctl.h).
pub const SET_MEMORY_MERGE: i32 = 67;

/// Says so of this process.
pub fn merge_own(on: bool) -> io::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: five numbers; the kernel reads and writes no memory of this process's.
    let done = unsafe { libc::prctl(SET_MEMORY_MERGE, libc::c_ulong::from(on), none, none, none) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

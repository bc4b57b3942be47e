//! What ptrace(2) knows of a stopped thread besides its general registers, by its kind (linux/elf.h, NT_*), where the machine
//! has such.

use nix::errno::Errno;
use nix::unistd::Pid;
use statify_elf::machine::{CALL_NUMBER, THREAD_POINTER};

/// The system call that is made instead of the one about to be made; -1 for none.
pub fn set_call(pid: Pid, mut number: i32) -> nix::Result<()> {
    CALL_NUMBER.map_or(Ok(()), |kind| exchange(pid, libc::PTRACE_SETREGSET, kind, &mut number))
}

/// Where the thread's memory is, if a register says it that the process writes by itself. Kernels may tell of more registers,
/// and then fill no more than is asked for.
pub fn thread_pointer(pid: Pid) -> nix::Result<Option<u64>> {
    let Some(kind) = THREAD_POINTER else { return Ok(None) };
    let mut register = 0u64;
    exchange(pid, libc::PTRACE_GETREGSET, kind, &mut register)?;
    Ok(Some(register))
}

fn exchange<T>(pid: Pid, request: libc::c_uint, kind: usize, value: &mut T) -> nix::Result<()> {
    let base = std::ptr::from_mut(value).cast();
    let mut part = libc::iovec { iov_base: base, iov_len: size_of::<T>() };
    // SAFETY: the structure tells of one number, whose bytes may be anything.
    let result = unsafe { libc::ptrace(request, pid.as_raw(), kind, &raw mut part) };
    Errno::result(result).map(drop)
}

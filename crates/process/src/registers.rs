//! What ptrace(2) knows of a stopped thread besides its general registers, by its kind (linux/elf.h, NT_*).

use nix::unistd::Pid;

#[cfg(target_arch = "aarch64")]
pub use aarch64::{set_call, thread_pointer};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{set_call, thread_pointer};

/// Everything that a tracer has to do with is a general register.
#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::Pid;

    /// The system call that is made instead of the one about to be made: a register says it.
    pub fn set_call(_pid: Pid, _number: i32) -> nix::Result<()> {
        Ok(())
    }

    /// Where the thread's memory is: a system call says it.
    pub fn thread_pointer(_pid: Pid) -> nix::Result<Option<u64>> {
        Ok(None)
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use nix::errno::Errno;

    use super::Pid;

    /// TPIDR_EL0, a word of eight bytes.
    const NT_ARM_TLS: usize = 0x401;
    /// The number of the system call about to be made, four bytes.
    const NT_ARM_SYSTEM_CALL: usize = 0x404;

    /// The system call that is made instead of the one about to be made; -1 for none.
    pub fn set_call(pid: Pid, mut number: i32) -> nix::Result<()> {
        exchange(pid, libc::PTRACE_SETREGSET, NT_ARM_SYSTEM_CALL, &mut number)
    }

    /// Where the thread's memory is. Kernels may tell of more registers, and then fill no more than is asked for.
    pub fn thread_pointer(pid: Pid) -> nix::Result<Option<u64>> {
        let mut register = 0u64;
        exchange(pid, libc::PTRACE_GETREGSET, NT_ARM_TLS, &mut register)?;
        Ok(Some(register))
    }

    fn exchange<T>(pid: Pid, request: libc::c_uint, kind: usize, value: &mut T) -> nix::Result<()> {
        let base = std::ptr::from_mut(value).cast();
        let mut part = libc::iovec { iov_base: base, iov_len: size_of::<T>() };
        // SAFETY: the structure tells of one number, whose bytes may be anything.
        let result = unsafe { libc::ptrace(request, pid.as_raw(), kind, &raw mut part) };
        Errno::result(result).map(drop)
    }
}

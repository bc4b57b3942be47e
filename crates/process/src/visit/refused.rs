//! Why a process makes no call for somebody else.

use nix::errno::Errno;

/// Why no call was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not there.
    #[error("there is no such process, or not any more")]
    Gone,
    /// It has ended, and its parent has not asked for its exit status.
    #[error("it has ended already, and only waits for its parent to notice")]
    Zombie,
    /// One of the kernel's own.
    #[error("it is a thread of the kernel, which has no memory of its own")]
    Kernel,
    /// It is this program.
    #[error("it is this program itself")]
    Itself,
    /// By which process.
    #[error("process {0} traces it (a debugger, strace or the like); end that first")]
    Traced(u32),
    /// A filter could end it for the call.
    #[error(
        "it runs under a seccomp filter, which might end it for a system call that it does not know; have it started with KSM on instead"
    )]
    Filtered,
    /// It has its own system calls answered by itself (PR_SET_SYSCALL_USER_DISPATCH).
    #[error(
        "its system calls may go to itself rather than to the kernel (syscall user dispatch, such as Wine's)"
    )]
    Dispatched,
    /// Its control group is frozen.
    #[error("its control group is frozen; thaw it first")]
    Frozen,
    /// It runs code of 32 bits.
    #[error("it runs code of 32 bits, which this program does not know")]
    OtherMachine,
    /// It may not be traced.
    #[error(
        "it may not be traced: {0}; do this as its user or as root (and see ptrace_scope of Yama, if that is on)"
    )]
    Denied(Errno),
    /// It does not stop.
    #[error("it did not stop within {0} seconds; it is held up in the kernel, so try again later")]
    Busy(u64),
    /// No instruction was found.
    #[error("no instruction that makes system calls was found in its code")]
    NoInstruction,
    /// It had no time for the call.
    #[error("so many signals arrive that it did not get to do anything else; try again")]
    Signals,
    /// A step of it failed.
    #[error("it could not be made to do it: {0}")]
    Failed(Errno),
}

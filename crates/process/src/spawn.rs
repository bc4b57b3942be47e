//! Child processes that share this process's memory until they execute a program, as posix_spawn(3)
//! makes them. fork(2) copies the page tables of all that a conversion holds, and execve(2) throws
//! them away: with other conversions going on in the process that was a quarter of their time.

use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// In bytes; what a child does takes some 10 KiB of it without optimisation. Only what is used is
/// ever there.
const STACK: usize = 256 << 10;
/// SIGRTMAX.
const LAST_SIGNAL: i32 = 64;

/// Makes a child that runs `child`, which is to end by execve(2) or _exit(2); what it returns is the
/// exit status. This thread waits for that. `flags` are clone(2)'s: namespaces.
///
/// # Safety
/// The child makes system calls only, and writes to no memory but its own frames: it shares all of
/// it with the threads of this process.
pub unsafe fn spawn(flags: i32, child: &mut dyn FnMut() -> i32) -> nix::Result<Pid> {
    struct Start<'a> {
        child: &'a mut dyn FnMut() -> i32,
        signals: libc::sigset_t,
    }
    extern "C" fn start(argument: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the caller's frame, which stays as long as this child shares its memory.
        let start = unsafe { &mut *argument.cast::<Start<'_>>() };
        forget_handlers();
        // SAFETY: a set of the caller's frame.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &start.signals, ptr::null_mut()) };
        (start.child)()
    }
    let mut stack: Vec<u8> = Vec::with_capacity(STACK);
    // SAFETY: an all-zero set is a set.
    let (mut every, before) = unsafe { std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>() };
    let mut argument = Start { child, signals: before };
    // A handler of this process must not run in the child.
    // SAFETY: two sets of this frame.
    unsafe {
        libc::sigfillset(&mut every);
        libc::pthread_sigmask(libc::SIG_SETMASK, &every, &mut argument.signals);
    }
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is this child's alone, and with the argument there until it needs them no more
    // (CLONE_VFORK); the caller answers for what the child does.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK).map_addr(|address| address & !15);
        libc::clone(start, top.cast(), flags, ptr::from_mut(&mut argument).cast())
    };
    let result = Errno::result(pid).map(Pid::from_raw);
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &argument.signals, ptr::null_mut()) };
    result
}

/// Signals do what they do by themselves, or nothing where this process ignores them.
fn forget_handlers() {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: structures of this frame; the handlers of this process are others than the child's.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let is_known = libc::sigaction(signal, ptr::null(), &mut action) == 0;
            if is_known && ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction) {
                action.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    #[test]
    fn a_child_ends_with_what_it_returns_and_the_mask_is_back() {
        let mask = || {
            let mut mask = nix::sys::signal::SigSet::empty();
            let (none, how) = (None, nix::sys::signal::SigmaskHow::SIG_BLOCK);
            nix::sys::signal::pthread_sigmask(how, none, Some(&mut mask)).unwrap();
            mask
        };
        let before = mask();
        // SAFETY: it returns a number.
        let pid = unsafe { spawn(0, &mut || 7) }.unwrap();
        assert_eq!(waitpid(pid, None), Ok(WaitStatus::Exited(pid, 7)));
        assert_eq!(mask(), before);
    }

    #[test]
    fn this_process_keeps_its_handlers() {
        // SAFETY: a test's own signal, that nothing raises.
        let action = || unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGSEGV, ptr::null(), &mut action);
            action.sa_sigaction
        };
        let before = action();
        assert_ne!(before, libc::SIG_DFL, "std has one");
        // SAFETY: it returns a number.
        let pid = unsafe { spawn(0, &mut || i32::from(action() == libc::SIG_DFL)) }.unwrap();
        assert_eq!(waitpid(pid, None), Ok(WaitStatus::Exited(pid, 1)));
        assert_eq!(action(), before);
    }
}

//! One system call, made in the name of a process that runs and knows nothing of it.
//!
//! A thread of it is stopped (PTRACE_SEIZE and PTRACE_INTERRUPT, ptrace(2)), its registers are set to a `syscall` instruction
//! that the process has anyway, it makes the call, and its registers are as before. Nothing is written to its memory, so what
//! lies below its stack pointer stays; no signal is sent to it, and those that arrive meanwhile are delivered when its
//! registers are its own again. The system call that it was in goes on as if nothing had happened: the kernel's own way of
//! restarting one is left to act ([`restart`]). So is what the kernel does to restartable sequences ([`sequence`]).
//!
//! The crate ptrace-do (0.2) does not serve here. It calls functions rather than making system calls, and so writes a return
//! address to where a leaf function has its locals; it attaches by SIGSTOP, takes whatever stops the thread for the call's
//! return, drops the signal that did, and single steps, which could do without the stack, it has none of.
//!
//! While the thread is away from its own registers, as long as the call takes, signals to this program wait. SIGKILL does not:
//! it would leave the thread where it is.

mod raw;
mod refused;
mod restart;
mod sequence;
mod site;
mod stopped;
mod threads;

use nix::errno::Errno;

pub use refused::Refused;

/// Makes a system call in the name of a process, in whichever of its threads is free. Returns what it answered: a negative
/// error number from -4095 on, if it failed.
pub fn call(pid: u32, number: i64, args: [u64; 6]) -> Result<i64, Refused> {
    // A thread of its own is the tracer: whatever happens, its end sets the traced one free.
    let visit = std::thread::Builder::new().name("visit".into());
    let visit = visit.spawn(move || {
        raw::hold_signals();
        made(pid, number, args)
    });
    let visit = visit
        .map_err(|error| Refused::Failed(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
    visit.join().unwrap_or(Err(Refused::Failed(Errno::UnknownErrno)))
}

fn made(pid: u32, number: i64, args: [u64; 6]) -> Result<i64, Refused> {
    let process = threads::Process::open(pid)?;
    let tid = process.free_thread()?;
    let mut thread = stopped::Stopped::new(tid, &process)?;
    let result = thread.call(&process, number, args);
    thread.leave();
    result
}

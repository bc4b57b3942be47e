//! Makes std's `Command` run its program in the room.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid};

use super::{Entrance, Forked, Sandbox};

/// A user and group id that owns nothing.
const NOBODY: libc::uid_t = 65534;

/// The program of `command`, a path inside, will run in `sandbox`; as nobody where this process is
/// root's. Nothing of it is left when the command has ended.
pub fn run_inside(command: &mut Command, sandbox: Sandbox) {
    // SAFETY: every process that comes out of it makes system calls only.
    unsafe { command.pre_exec(move || Ok(become_program(&sandbox)?)) };
}

/// Three processes: the command's own, which waits outside; process 1 inside, with which all others
/// end, and to which signals do not do what they do to others; and the program. Returns in the
/// program's only.
fn become_program(sandbox: &Sandbox) -> Result<(), Errno> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Of 1, not 0: a core_pattern that is a pipe ignores 0 and takes 1 for "none" (core(5)).
    let (_, most) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, most.min(1), most.min(1))?;
    let (report, reporter) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: the child makes system calls only.
    match unsafe { sandbox.fork()? } {
        Forked::Parent(first) => {
            drop(reporter);
            wait_outside(first, report)
        }
        Forked::Child(entrance) => {
            drop(report);
            supervise(&entrance, reporter)
        }
    }
}

/// Ends as the program did.
fn wait_outside(first: Pid, report: OwnedFd) -> ! {
    close_all_but(report.as_fd());
    let mut status = [0; 4];
    let told = nix::unistd::read(&report, &mut status);
    let _ = nix::sys::wait::waitpid(first, None);
    let status = i32::from_le_bytes(status);
    if told == Ok(4) && libc::WIFSIGNALED(status) {
        // SAFETY: restores what the kernel does by itself, and ends this process.
        unsafe {
            libc::signal(libc::WTERMSIG(status), libc::SIG_DFL);
            libc::raise(libc::WTERMSIG(status));
        }
    }
    let code = if told == Ok(4) { libc::WEXITSTATUS(status) } else { 1 };
    // SAFETY: ends the process without running anything of this program's.
    unsafe { libc::_exit(code) }
}

fn supervise(entrance: &Entrance<'_>, reporter: OwnedFd) -> Result<(), Errno> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    entrance.enter()?;
    // SAFETY: the child makes system calls only.
    let program = match unsafe { nix::unistd::fork()? } {
        ForkResult::Child => {
            drop(reporter);
            return give_up_rights(entrance);
        }
        ForkResult::Parent { child } => child,
    };
    close_all_but(reporter.as_fd());
    loop {
        let mut status = 0;
        // SAFETY: one number, of this frame.
        let pid = unsafe { libc::wait(&mut status) };
        if pid == program.as_raw() {
            let _ = nix::unistd::write(&reporter, &status.to_le_bytes());
        } else if pid > 0 || Errno::last() == Errno::EINTR {
            continue;
        }
        // SAFETY: ends this process, and with it all others inside.
        unsafe { libc::_exit(0) }
    }
}

fn give_up_rights(entrance: &Entrance<'_>) -> Result<(), Errno> {
    if !entrance.in_user_namespace() {
        // SAFETY: an empty list, and numbers.
        unsafe {
            Errno::result(libc::setgroups(0, std::ptr::null()))?;
            Errno::result(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
            Errno::result(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
        }
    }
    nix::sys::prctl::set_no_new_privs()
}

/// Closes what the caller of the command, or the program inside, waits for the end of.
fn close_all_but(kept: BorrowedFd<'_>) {
    let kept = kept.as_raw_fd();
    let close = |first: i32, last: u32| {
        // SAFETY: closes descriptors that this process uses no more.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if closed != 0 {
            for fd in first..last.min(4096) as i32 {
                // SAFETY: as above.
                unsafe { libc::close(fd) };
            }
        }
    };
    if kept > 0 {
        close(0, kept as u32 - 1);
    }
    close(kept + 1, u32::MAX);
}
